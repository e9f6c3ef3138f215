"""Numbers, sizes, times and places in line, as the language of the page writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from babel.dates import format_datetime
from babel.numbers import format_decimal

from hub_ext.folders.quota import size_text
from hub_ext.sessions import views
from hub_ext.web.translation import ENGLISH, gettext, language, locale_name, ngettext


def number(value: float) -> str:
    """A number as the language writes it: 1,234.5; at most three decimals."""
    return str(format_decimal(value, locale=locale_name()))


def size(bytes_: int) -> str:
    """A number of bytes with three significant digits: "1.5 GiB"."""
    amount, unit = size_text(bytes_).split()
    if unit != "bytes":
        return f"{number(float(amount))} {unit}"
    text = ngettext("%(number)s byte", "%(number)s bytes", int(amount))
    return text % {"number": number(int(amount))}


def moment(at: float | None) -> str:
    """A time in UTC, for readers without script; None: "". The script shows the local one."""
    if at is None:
        return ""
    when = format_datetime(datetime.fromtimestamp(at, UTC), "medium", locale=locale_name())
    return f"{when} UTC"


def about(seconds: float) -> str:
    """A duration as people say it: "about 12 minutes"."""
    if seconds < 90:
        return gettext("about a minute")
    if seconds < 90 * 60:
        count = round(seconds / 60)
        text = ngettext("about %(number)s minute", "about %(number)s minutes", count)
    elif seconds < 36 * 3600:
        count = round(seconds / 3600)
        text = ngettext("about %(number)s hour", "about %(number)s hours", count)
    else:
        count = round(seconds / 86400)
        text = ngettext("about %(number)s day", "about %(number)s days", count)
    return text % {"number": number(count)}


def ordinal(place: int) -> str:
    """1st, 2nd, 3rd in English; elsewhere as the catalogue says."""
    if language() == ENGLISH:
        return views.ordinal(place)
    return gettext("No. %(number)s") % {"number": number(place)}
