"""A private package index behind its own CA, and a search for its traces in an image."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
import zipfile
from functools import partial
from pathlib import Path
from typing import Any


def make_wheel(directory: Path) -> Path:
    """A wheel with one module."""
    path = directory / "private_thing-1.0-py3-none-any.whl"
    info = "private_thing-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("private_thing.py", "ANSWER = 42\n")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: private-thing\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    path.chmod(0o644)
    return path


class Mirror:
    """A package index behind TLS, with a certificate that only its own CA bundle explains."""

    name = "index-that-nobody-may-know"

    def __init__(self, directory: Path) -> None:
        self.certificate, key = directory / "ca.pem", directory / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run([*command, *names, *files], check=True, capture_output=True)
        project = directory / "root" / self.name / "simple" / "private-thing"
        project.mkdir(parents=True)
        wheel = make_wheel(project)
        (project / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
        handler = partial(QuietHandler, directory=str(directory / "root"))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def settings(self) -> dict[str, str]:
        """The machine's variables for pip."""
        port = self._server.server_address[1]
        return {
            "PIP_INDEX_URL": f"https://reader:pass-of-reader@localhost:{port}/{self.name}/simple/",
            "PIP_CERT": str(self.certificate),
            "PIP_RETRIES": "0",
        }

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Files, without a log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def certificate_line(pem: bytes) -> bytes:
    """A line from the middle of a certificate, which nothing else contains."""
    lines = pem.strip().splitlines()
    return lines[len(lines) // 2]


def traces_in_image(client: Any, reference: str, needles: list[bytes]) -> list[bytes]:
    """Those of ``needles`` that are in a layer, the configuration or the history."""
    found: set[bytes] = set()
    tail = b""
    keep = max(map(len, needles)) - 1
    for chunk in client.images.get(reference).save(chunk_size=8 << 20):
        window = tail + chunk
        found.update(needle for needle in needles if needle in window)
        tail = window[-keep:]
    return sorted(found)
