"""What a session has changed in its image, short enough to be read. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from hub_ext.images.kept_paths import is_kept
from hub_ext.nodes.engine import Change

MAX_PATHS = 200
_MAX_DIRECTORIES = 10
_DEPTH = 4


def summarise(changes: Iterable[Change]) -> dict[str, Any]:
    """Counts by kind, the first paths, and the directories with the most changes below them.

    ``left_out``: how many paths are of the session alone and do not come into the image.
    """
    counts = Counter({"added": 0, "changed": 0, "deleted": 0, "left_out": 0})
    directories: Counter[str] = Counter()
    paths: list[dict[str, str]] = []
    for change in changes:
        if not is_kept(change.path.lstrip("/"), is_directory=False):
            counts["left_out"] += 1
            continue
        counts[change.kind] += 1
        directories["/".join(change.path.split("/")[: _DEPTH + 1][:-1]) or "/"] += 1
        if len(paths) < MAX_PATHS:
            paths.append({"kind": change.kind, "path": change.path})
    largest = directories.most_common(_MAX_DIRECTORIES)
    return {
        **counts,
        "paths": paths,
        "directories": [{"path": path, "changes": number} for path, number in largest],
    }
