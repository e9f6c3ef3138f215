"""The package that images install, importable from its source."""

from __future__ import annotations

import sys
from pathlib import Path

LABEXTENSION = Path(__file__).resolve().parents[3] / "labextension"
sys.path.insert(0, str(LABEXTENSION))
