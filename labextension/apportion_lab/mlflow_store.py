"""MLflow's builder for ``sqlite`` stores (entry point ``mlflow.tracking_store``).

MLflow's server follows MLFLOW_DEFAULT_ARTIFACT_ROOT, its client does not: runs logged from a
notebook in a course's folder would leave their artifacts there. Here both do.
"""

from __future__ import annotations

import os
from typing import Any

from apportion_lab import mlflow_home


def sqlite_store(store_uri: str, artifact_uri: str | None = None, **options: Any) -> Any:
    """MLflow's own store, with the session's artifact root unless the caller names one."""
    from mlflow.tracking._tracking_service import utils

    path = mlflow_home.sqlite_path(store_uri)
    if path is not None and store_uri == os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow_home.prepare_store(path)
    root = artifact_uri or os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    return utils._get_sqlalchemy_store(store_uri, root, **options)
