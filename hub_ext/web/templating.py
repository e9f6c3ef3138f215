"""The templates of pages, and what all of them may use."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hub_ext.web import formats, translation
from hub_ext.web.sentences import sentence

BASE_URL = os.environ.get("JUPYTERHUB_BASE_URL", "/")
ROOT = f"{BASE_URL}services/apportion/"
"""Path of the service's pages below the hub's public URL."""
API = f"{ROOT}api/v1/"
STATIC_URL = f"{ROOT}static/"


def clock(at: float | None) -> str:
    """ISO time in UTC; the page's script shows it in the reader's own zone. None: ""."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        translation.gettext, translation.ngettext, newstyle=True, pgettext=translation.pgettext
    )
    environment.filters |= {
        "clock": clock,
        "moment": formats.moment,
        "size": formats.size,
        "number": formats.number,
        "sentence": sentence,
    }
    environment.globals |= {
        "base": BASE_URL,
        "root": ROOT,
        "api": API,
        "static_url": STATIC_URL,
        "language": translation.language,
        "languages": translation.languages,
    }
    return environment


templates = _environment()
