"""A PostgreSQL server of one's own, on a socket in a temporary directory."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path


@contextmanager
def postgresql(directory: Path) -> Iterator[str]:
    """URL of an empty database. Exits with a sentence where PostgreSQL is not installed."""
    found = sorted(glob("/usr/lib/postgresql/*/bin/initdb"))
    initdb = shutil.which("initdb") or (found[-1] if found else None)
    if initdb is None:
        raise SystemExit("PostgreSQL is not installed: no initdb was found.")
    binaries = Path(initdb).resolve().parent
    account = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if account:
        directory.chmod(0o711)
    root = directory / "postgresql"
    root.mkdir(mode=0o700)
    if account:
        shutil.chown(root, account)

    def run(*command: str) -> None:
        subprocess.run(command, check=True, user=account, cwd=root, stdout=subprocess.DEVNULL)

    data = str(root / "data")
    run(str(binaries / "initdb"), "-D", data, "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-k {root} -c listen_addresses=''"
    pg_ctl = str(binaries / "pg_ctl")
    run(pg_ctl, "-D", data, "-w", "-l", str(root / "log"), "-o", options, "start")
    user = account or pwd.getpwuid(os.geteuid()).pw_name
    try:
        yield f"postgresql+psycopg://{user}@/postgres?host={root}"
    finally:
        run(pg_ctl, "-D", data, "-w", "-m", "immediate", "stop")
