"""Whether a TCP port can be listened on, and by whom it is held if not."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from hub_ext.bootstrap import processes
from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.bootstrap.processes import Process

LISTEN_STATE = "0A"  # proc(5), /proc/net/tcp: TCP_LISTEN


@dataclass(frozen=True, slots=True)
class PortUse:
    """One port this deployment is going to listen on, and how to choose another."""

    address: str
    port: int
    purpose: str
    way_out: str


def require_free(use: PortUse) -> None:
    """Raise BootstrapError naming the port, its holder and the way out."""
    try:
        family, _, _, _, sockaddr = socket.getaddrinfo(
            use.address, use.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise BootstrapError(
            f"'{use.address}' is not an address ({error.strerror}).",
            "Give an address of this machine, e.g. --bind 127.0.0.1 or --bind 0.0.0.0.",
        ) from error
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(sockaddr)
            probe.listen(1)
        except OSError as error:
            raise _refusal(use, error) from error


def _refusal(use: PortUse, error: OSError) -> BootstrapError:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(use.port)
        held = f" by {_described(holder)}" if holder else ""
        return BootstrapError(
            f"Port {use.port} ({use.purpose}) is already in use{held}.", use.way_out
        )
    if error.errno == errno.EACCES:
        return BootstrapError(
            f"Port {use.port} ({use.purpose}) may be opened by root only.",
            f"Choose a port from 1024 up. {use.way_out}",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return BootstrapError(
            f"This machine has no address {use.address}.",
            "Give one it has, e.g. --bind 127.0.0.1, or --bind 0.0.0.0 for all.",
        )
    return BootstrapError(
        f"Port {use.port} ({use.purpose}) cannot be opened: {error.strerror}.", use.way_out
    )


def _described(process: Process) -> str:
    """Pid and program: of "/a/long/path/python /another/long/path/x --y" the names only."""
    command = process.command().split()
    telling = 3 if command[1:2] == ["-m"] else 2
    words = [Path(word).name for word in command[:telling]]
    return f"process {process.pid}" + (f" ({' '.join(words)})" if words else "")


def holder_of(port: int) -> Process | None:
    """The process that listens on a TCP port; None when ``/proc`` does not tell."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in processes.everyone():
        try:
            for descriptor in os.scandir(f"/proc/{process.pid}/fd"):
                if os.readlink(descriptor.path) in wanted:
                    return process
        except OSError:
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if columns[3] == LISTEN_STATE and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes
