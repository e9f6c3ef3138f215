"""Become the hub, tied to the ``up`` that started it: ``python -m hub_ext.bootstrap.run_hub CMD``.

When ``up`` dies without a word (kill -9), the kernel sends this process SIGTERM, and the
hub ends as on any SIGTERM: proxy and service with it, user containers left running.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); kept across execve of an ordinary program


def main() -> None:
    """argv: pid of the supervisor, then the command to become."""
    supervisor, command = int(sys.argv[1]), sys.argv[2:]
    os.umask(0o077)  # databases and logs hold what only we may read
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != supervisor:  # it died before the line above took effect
        sys.exit("The supervisor is gone.")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
