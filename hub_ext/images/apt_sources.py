"""Where this machine gets its own distribution from: release, mirror, proxy. Pure parsing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

OFFICIAL = {
    "debian": "http://deb.debian.org/debian",
    "ubuntu": "http://archive.ubuntu.com/ubuntu",
}
COMPONENTS = {"debian": "main", "ubuntu": "main,universe"}
_SECURITY = {
    "debian": "http://deb.debian.org/debian-security {suite}-security",
    "ubuntu": "http://security.ubuntu.com/ubuntu {suite}-security",
}


@dataclass(frozen=True, slots=True)
class Distribution:
    """A release that debootstrap can make, and the mirror to make it from."""

    family: str
    suite: str
    mirror: str
    keyring: str = ""


def read_distribution(
    os_release: str, one_line_files: Iterable[str], deb822_files: Iterable[str]
) -> Distribution | None:
    """This machine's release and the mirror that its apt uses for it; None if neither Debian
    nor Ubuntu. Texts of /etc/os-release, of *.list and of *.sources files."""
    facts = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', os_release, re.MULTILINE))
    families = [facts.get("ID", ""), *facts.get("ID_LIKE", "").split()]
    family = next((name for name in families if name in OFFICIAL), "")
    suite = facts.get("UBUNTU_CODENAME") if family == "ubuntu" else ""
    suite = suite or facts.get("VERSION_CODENAME", "")
    if not family or not suite or facts.get("ID", "") not in OFFICIAL:
        return None
    for text in deb822_files:
        for uri, keyring in _deb822(text, suite):
            return Distribution(family, suite, uri, keyring)
    for text in one_line_files:
        for uri, keyring in _one_line(text, suite):
            return Distribution(family, suite, uri, keyring)
    return Distribution(family, suite, OFFICIAL[family])


def _deb822(text: str, suite: str) -> Iterable[tuple[str, str]]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = _fields("\n".join(lines))
        if fields.get("enabled", "yes").lower() == "no" or "deb" not in fields.get("types", ""):
            continue
        if suite in fields.get("suites", "").split() and "main" in fields.get("components", ""):
            for uri in filter(_usable, fields.get("uris", "").split()):
                yield uri, _keyring(fields.get("signed-by", ""))


def _fields(stanza: str) -> Mapping[str, str]:
    pairs = re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE)
    return {key.lower(): value.strip() for key, value in pairs}


def _one_line(text: str, suite: str) -> Iterable[tuple[str, str]]:
    pattern = r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$"
    for options, uri, its_suite, components in re.findall(pattern, text, re.MULTILINE):
        if its_suite == suite and "main" in components.split() and _usable(uri):
            signed = re.search(r"signed-by=(\S+)", options)
            yield uri, _keyring(signed.group(1) if signed else "")


def _usable(uri: str) -> bool:
    """debootstrap knows these; apt's cdrom:, mirror:// and the like it does not."""
    return uri.startswith(("http://", "https://", "file:"))


def _keyring(value: str) -> str:
    return value if re.fullmatch(r"/\S+", value) else ""


def official_sources(distribution: Distribution) -> str:
    """A sources.list with the distribution's public servers, whatever mirror built it."""
    components = COMPONENTS[distribution.family].replace(",", " ")
    suite = distribution.suite
    official = OFFICIAL[distribution.family]
    security = _SECURITY[distribution.family].format(suite=suite)
    return (
        f"deb {official} {suite} {components}\n"
        f"deb {official} {suite}-updates {components}\n"
        f"deb {security} {components}\n"
    )
