"""What stops a build: one sentence on what is wrong, one on the way out."""

from __future__ import annotations

import re


class ImageBuildError(Exception):
    """A build that cannot go on, in words for the person at the terminal."""

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(f"{message}\n{way_out}" if way_out else message)
        self.message = message
        self.way_out = way_out


_AGAIN = "Finished parts are kept: the same command goes on from there."

_KNOWN = (
    (
        r"no space left on device|disk quota exceeded|errno 28\b",
        "The disk is full.",
        "Free some space (`docker system df` shows what images and containers hold, "
        f"`docker system prune` removes what nothing uses), then build again. {_AGAIN}",
    ),
    (
        r"certificate.verify.failed|self.signed certificate|unable to get local issuer",
        "The package index shows a certificate that this machine's settings do not trust.",
        "Name your CA bundle in PIP_CERT, or in pip's own configuration as `cert`, "
        "then build again.",
    ),
    (
        r"temporary failure in name resolution|name or service not known|no such host"
        r"|connection refused|network is unreachable|no route to host|timed out"
        r"|max retries exceeded|failed to establish a new connection|connection reset"
        r"|failed getting release file|couldn't download"
        r"|\be(notfound|ai_again|connrefused|connreset|timedout|netunreach|hostunreach)\b",
        "The packages' server cannot be reached.",
        "Check the network, the proxy (HTTPS_PROXY) and the mirror (pip's index-url, the apt "
        f"sources, npm's registry), then build again. {_AGAIN}",
    ),
    (
        r"40[13] client error|40[13] (unauthorized|forbidden)",
        "The packages' server refuses this machine.",
        "Check the user and password in pip's index-url or in ~/.netrc, then build again.",
    ),
    (
        r"no matching distribution found|could not find a version that satisfies"
        r"|resolutionimpossible",
        "The package index lacks a package or a version that the image needs.",
        "The line above names it. Add it to your mirror, or change requirements.txt "
        "under images/, then build again.",
    ),
)


def explain(output: str, what: str) -> ImageBuildError:
    """Turn the last output of a failed step into an error that says what to do.

    ``what`` names the step ("Installing packages"). The most telling line is quoted.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern, meaning, way_out in _KNOWN:
        telling = [line for line in lines if re.search(pattern, line, re.IGNORECASE)]
        if telling:
            return ImageBuildError(f"{what} failed: {meaning}\n  {telling[-1][:300]}", way_out)
    tail = "\n".join(f"  {line[:300]}" for line in lines[-15:])
    return ImageBuildError(f"{what} failed:\n{tail}" if tail else f"{what} failed.", _AGAIN)
