"""One MPS control daemon for one device: started, asked whether it lives, told to quit.

Its process outlives the service, whose restart must not end what runs on the device; the next
service finds it by a file with its process id and start time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hub_ext.gpu.enforcers.mps import pipe_directory
from hub_ext.gpu.mps_processes import end_all, processes_of

PROGRAM = "nvidia-cuda-mps-control"
ANSWER_S = 5.0
"""How long a daemon may take to answer."""


class MpsUnavailable(Exception):
    """The daemon cannot be started or gives no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    started: str
    """Its start time in clock ticks since boot: a pid is used again."""

    @property
    def runs(self) -> bool:
        return _start_time(self.pid) == self.started


class MpsDaemon:
    """Of the device ``uuid``; everything of it is below ``directory``/``uuid``."""

    def __init__(self, directory: Path, uuid: str) -> None:
        self.uuid = uuid
        self._home = directory / uuid
        self._pipes = pipe_directory(directory, uuid)
        self._note = self._home / "daemon.json"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs. Raises MpsUnavailable."""
        if self.runs():
            return
        if shutil.which(PROGRAM) is None:
            raise MpsUnavailable(
                f"{PROGRAM} is not on this node's PATH: install CUDA MPS, which comes with the"
                " driver, or choose another enforcer."
            )
        end_all(processes_of(self._pipes))
        try:
            self._make_directories()
            with (self._home / "daemon.log").open("ab") as log:
                self._child = subprocess.Popen(
                    [PROGRAM, "-f"],
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    umask=0,  # sessions run as another user and open its pipes
                )
            self._write_note(self._child.pid)
        except OSError as error:
            raise MpsUnavailable(f"{PROGRAM} cannot be started: {error.strerror}.") from error

    def runs(self) -> bool:
        """Whether its process is there, started by this service or by the one before."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        process = self._read_note()
        return process is not None and process.runs

    def check(self) -> None:
        """Have it answer a command. Raises MpsUnavailable."""
        if not self.runs():
            raise MpsUnavailable("Its MPS daemon has died.")
        self._command("get_server_list")

    def quit(self) -> None:
        """End it with its servers; killed when they do not go. Silently when it does not run."""
        process = self._read_note()
        if process is not None and process.runs:
            with suppress(MpsUnavailable, subprocess.TimeoutExpired):
                self._command("quit")
                self._await_end()
            if process.runs:
                end_all([process.pid])
        end_all(processes_of(self._pipes))
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(ANSWER_S)
            self._child = None
        self._note.unlink(missing_ok=True)

    def _await_end(self) -> None:
        if self._child is not None:
            self._child.wait(ANSWER_S)

    def _command(self, command: str) -> str:
        try:
            done = subprocess.run(
                [PROGRAM],
                input=f"{command}\n",
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=ANSWER_S,
            )
        except subprocess.TimeoutExpired as error:
            raise MpsUnavailable("Its MPS daemon does not answer.") from error
        except OSError as error:
            raise MpsUnavailable(f"{PROGRAM} cannot be run: {error.strerror}.") from error
        if done.returncode:
            raise MpsUnavailable(f"Its MPS daemon refuses: {done.stderr.strip()[:200]}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "CUDA_VISIBLE_DEVICES": self.uuid,
            "CUDA_MPS_PIPE_DIRECTORY": str(self._pipes),
            "CUDA_MPS_LOG_DIRECTORY": str(self._home / "log"),
        }

    def _make_directories(self) -> None:
        """Pipes of a daemon that has died are in the way of the next. The directory itself stays:
        running containers have it mounted, and would never see another of its name."""
        (self._home / "log").mkdir(parents=True, exist_ok=True)
        self._pipes.mkdir(exist_ok=True)
        self._pipes.chmod(0o777)
        for left in self._pipes.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()

    def _write_note(self, pid: int) -> None:
        scratch = self._note.with_suffix(".new")
        scratch.write_text(json.dumps({"pid": pid, "started": _start_time(pid)}))
        scratch.rename(self._note)

    def _read_note(self) -> _Process | None:
        try:
            noted = json.loads(self._note.read_text())
            return _Process(int(noted["pid"]), str(noted["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _start_time(pid: int) -> str:
    """Field 22 of proc(5) stat; "" when there is no such process, or only what is left of it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
