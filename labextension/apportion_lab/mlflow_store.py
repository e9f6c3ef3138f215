"""Where MLflow keeps artifacts of an SQLite store: beside it, not in the current folder.

MLflow's server follows MLFLOW_DEFAULT_ARTIFACT_ROOT, its client does not: runs logged from a
notebook in a course's folder would leave their artifacts there. Registered as MLflow's builder
for ``sqlite`` stores (entry point ``mlflow.tracking_store``).
"""

from __future__ import annotations

import os
from typing import Any


def sqlite_store(store_uri: str, artifact_uri: str | None = None, **options: Any) -> Any:
    """MLflow's own store, with the session's artifact root unless the caller names one."""
    from mlflow.tracking._tracking_service import utils

    root = artifact_uri or os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    return utils._get_sqlalchemy_store(store_uri, root, **options)
