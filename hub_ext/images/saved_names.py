"""Names of images made from sessions. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from hub_ext.errors import BadValue
from hub_ext.images.catalogue import split_reference

LONGEST = 40
"""Characters of the name that a user gives."""

_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_OWN_SUFFIX = re.compile(r"-[0-9a-f]{10}")
_LONGEST_USER = 40
_REGISTRY = re.compile(
    r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+)(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*){0,5}/?"
    r"|[a-z0-9-]+:\d{1,5}(/[a-z0-9]+([._-]+[a-z0-9]+)*){0,5}/?"
)


def check_name(name: str, field: str = "name") -> str:
    """A name that an engine takes as part of a reference. Raises BadValue."""
    if len(name) > LONGEST or not _NAME.fullmatch(name):
        raise BadValue(
            f"The name of an image is 1 to {LONGEST} of a-z, 0-9 and single . _ - between them,"
            " as in torch-course.",
            field=field,
        )
    return name


def is_registry(text: str) -> bool:
    """Whether it may begin a reference so that engines take it for a registry's."""
    return len(text) <= 100 and _REGISTRY.fullmatch(text) is not None


def repository(prefix: str, user: str, name: str) -> str:
    """Where the images of this name and user are; no two users share one."""
    return f"{prefix}/u-{_safe_user(user)}/{name}"


def site_prefix(registry: str, key: str) -> str:
    """Begins the name of every image that this site makes; ``key``: see ``site_key``."""
    own = f"apportion-{key}"
    return f"{registry.rstrip('/')}/{own}" if registry else own


def next_reference(repository_name: str, taken: Iterable[str]) -> str:
    """``repository:n`` with a number above all that are or were ever taken."""
    numbers = [0]
    for reference in taken:
        its, tag = split_reference(reference)
        if its == repository_name and tag.isascii() and tag.isdigit():
            numbers.append(int(tag))
    return f"{repository_name}:{max(numbers) + 1}"


def short_name(reference: str) -> str:
    """ "torch-course:2" of a long reference: what people type to confirm."""
    return reference.rpartition("/")[2]


def _safe_user(user: str) -> str:
    """The user's name where an engine takes it; else something like it, with a hash."""
    plain = len(user) <= _LONGEST_USER and _NAME.fullmatch(user)
    if plain and not _OWN_SUFFIX.search(user[-11:]):
        return user
    like = re.sub(r"[^a-z0-9]+", "-", user.lower()).strip("-")[:_LONGEST_USER].rstrip("-")
    return f"{like or 'x'}-{hashlib.sha256(user.encode()).hexdigest()[:10]}"
