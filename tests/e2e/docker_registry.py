"""A real registry on loopback: Debian's docker-registry."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import httpx

from tests.e2e.lab import free_port, until


class Registry:
    """Started at once; Docker engines trust 127.0.0.0/8 without TLS."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("docker-registry")
        assert program is not None, "install the package docker-registry"
        self.host = f"127.0.0.1:{free_port()}"
        config = {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(directory / "blobs")}},
            "http": {"addr": self.host},
        }
        path = directory / "config.yml"
        path.write_text(json.dumps(config))  # JSON is YAML
        with (directory / "registry.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "serve", str(path)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until(self._answers, limit_s=30, what="the registry answers")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://{self.host}/v2/", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def repositories(self) -> list[str]:
        """Names of all that was pushed."""
        answer = httpx.get(f"http://{self.host}/v2/_catalog", timeout=10)
        return list(answer.json()["repositories"])

    def close(self) -> None:
        """Stop it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
