"""What a container under HAMi-core mounts and the service makes: its preload file, its cache."""

from __future__ import annotations

import os
from pathlib import Path

from hub_ext.gpu.enforcers.hami import LIBRARY


def prepare(session_dir: Path, user_ids: str) -> None:
    """Make the files of a session; ``user_ids``: uid:gid in its container. Raises OSError."""
    cache = session_dir / "vgpu"
    cache.mkdir(parents=True, exist_ok=True)
    uid, _, gid = user_ids.partition(":")
    if os.geteuid() == 0:
        os.chown(cache, int(uid), int(gid))
    preload = session_dir / "ld.so.preload"
    scratch = preload.with_suffix(".new")
    scratch.write_text(f"{LIBRARY}\n")
    scratch.chmod(0o644)
    scratch.rename(preload)
