"""What a failed step printed becomes one sentence and a way out."""

from __future__ import annotations

import pytest

from hub_ext.images.failure import explain
from hub_ext.images.pull import layers_done


@pytest.mark.parametrize(
    ("line", "meaning", "way_out"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full", "docker system"),
        ("SSLError(certificate verify failed: unable to get local issuer)", "trust", "PIP_CERT"),
        (
            "Failed to establish a new connection: [Errno 111] Connection refused",
            "reached",
            "proxy",
        ),
        ("E: Failed getting release file http://m.example/Release", "reached", "mirror"),
        ("ERROR: 401 Client Error: Unauthorized for url", "refuses", "netrc"),
        ("ERROR: No matching distribution found for mlflow==9", "lacks", "requirements.txt"),
    ],
)
def test_a_known_failure_says_what_to_do(line: str, meaning: str, way_out: str) -> None:
    error = explain(f"Collecting x\n{line}\nsome trailing words", "Installing")

    assert meaning in error.message
    assert line in error.message
    assert way_out in error.way_out


def test_an_unknown_failure_shows_the_end_of_its_output() -> None:
    output = "\n".join(f"line {number}" for number in range(40))

    message = explain(output, "Building base").message

    assert message.startswith("Building base failed:")
    assert "line 39" in message
    assert "line 3\n" not in message


def test_progress_of_a_pull_is_the_sum_of_its_layers() -> None:
    lines = [
        {"id": "a", "status": "Downloading", "progressDetail": {"current": 5, "total": 10}},
        {"id": "b", "status": "Downloading", "progressDetail": {"current": 1, "total": 4}},
        {"id": "a", "status": "Download complete", "progressDetail": {}},
    ]

    assert list(layers_done(lines, "x:1")) == [(5, 10), (6, 14), (11, 14)]


def test_an_error_in_a_pull_names_the_image() -> None:
    with pytest.raises(Exception, match="No registry has x:1"):
        list(layers_done([{"error": "manifest unknown"}], "x:1"))
