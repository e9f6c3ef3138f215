"""What this machine needs to reach packages: pip's configuration, CA bundle, proxies, apt mirror.

All of it is handed to the container of an installation and stays out of every image.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE_DIRECTORY = "/build/site"
"""Where the settings are while an installation runs; the script removes them at its end."""

_FILES = {"cert": "ca.pem", "client-cert": "client.pem", "constraint": "constraints.txt"}
_PLACES = ("index-url", "extra-index-url", "find-links")
_NOT_TAKEN = {
    *("config-file", "cache-dir", "log", "target", "prefix", "root", "user", "python"),
    *("requirement", "editable", "src", "report", "dry-run", "no-deps", "quiet", "verbose"),
}
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """``files``: contents by name below SITE_DIRECTORY. ``local_directories``: package folders
    of this machine, to be seen read-only under the same path."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    local_directories: tuple[str, ...] = ()


def pip_config_files(environ: Mapping[str, str], home: Path) -> list[Path]:
    """pip's configuration files from the weakest to the strongest, in pip's own order."""
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == "/dev/null":
        return []
    xdg = [Path(part) for part in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if part]
    config_home = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [
        *(directory / "pip" / "pip.conf" for directory in reversed(xdg)),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        config_home / "pip" / "pip.conf",
        *([Path(named)] if named else []),
    ]


def pip_options(files: Iterable[Path], environ: Mapping[str, str]) -> dict[str, str]:
    """pip's options for an installation, merged as pip does: [global], [install], PIP_*."""
    merged: dict[str, str] = {}
    specific: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        for section, into in (("global", merged), ("install", specific)):
            if parser.has_section(section):
                into |= {_option(key): value for key, value in parser.items(section)}
    merged |= specific
    merged |= {
        _option(key.removeprefix("PIP_")): value
        for key, value in environ.items()
        if key.startswith("PIP_") and value
    }
    return {key: value for key, value in merged.items() if key not in _NOT_TAKEN}


def _option(key: str) -> str:
    return key.lower().replace("_", "-").lstrip("-")


def read_site(environ: Mapping[str, str], home: Path) -> SiteSettings:
    """Collect this machine's settings. Missing files are settings that are not there."""
    options = pip_options(pip_config_files(environ, home), environ)
    files: dict[str, bytes] = {}
    for option, name in _FILES.items():
        content = _content(options.pop(option, ""))
        if content is not None:
            files[name] = content
            options[option] = f"{SITE_DIRECTORY}/{name}"
    if "ca.pem" not in files and (bundle := _ca_bundle(environ)) is not None:
        files["ca.pem"] = bundle
        options["cert"] = f"{SITE_DIRECTORY}/ca.pem"
    if (netrc := _content(environ.get("NETRC") or str(home / ".netrc"))) is not None:
        files["netrc"] = netrc
    files["pip.conf"] = _pip_conf(options)
    files["environment"] = _environment(environ, files)
    return SiteSettings(files, tuple(_local_directories(options)))


def _content(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError:
        return None


def _ca_bundle(environ: Mapping[str, str]) -> bytes | None:
    places = [environ.get(name, "") for name in _CA_VARIABLES] + list(_SYSTEM_BUNDLES)
    return next((found for place in places if (found := _content(place)) is not None), None)


def _pip_conf(options: Mapping[str, str]) -> bytes:
    lines = ["[global]"]
    for key, value in sorted(options.items()):
        lines.append(f"{key} = " + "\n    ".join(value.split("\n")))
    return ("\n".join(lines) + "\n").encode()


def _environment(environ: Mapping[str, str], files: Mapping[str, bytes]) -> bytes:
    """A shell file of variables: pip's configuration, trust, and the machine's proxies."""
    variables = {
        "PIP_CONFIG_FILE": f"{SITE_DIRECTORY}/pip.conf",
        "PIP_CACHE_DIR": "/build/cache",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    if "ca.pem" in files:
        variables |= dict.fromkeys(_CA_VARIABLES, f"{SITE_DIRECTORY}/ca.pem")
    if "netrc" in files:
        variables["NETRC"] = f"{SITE_DIRECTORY}/netrc"
    variables |= proxies(environ)
    lines = [f"{key}={_quoted(value)}" for key, value in sorted(variables.items())]
    return ("\n".join(lines) + "\n").encode()


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The machine's proxy variables, in the two spellings that programs look for."""
    found: dict[str, str] = {}
    for name in _PROXIES:
        value = environ.get(name) or environ.get(name.upper())
        if value:
            found |= {name: value, name.upper(): value}
    return found


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _local_directories(options: Mapping[str, str]) -> list[str]:
    """Folders that pip's options name by path or as file:// and that are there."""
    found: set[str] = set()
    for place in " ".join(options.get(name, "") for name in _PLACES).split():
        path = _local_path(place)
        if path is None:
            continue
        directory = path if path.is_dir() else path.parent
        if directory.name == "simple":  # an index: its links lead to a folder beside it
            directory = directory.parent
        if directory.is_dir() and directory != Path("/"):
            found.add(str(directory))
    return sorted(found)


def _local_path(place: str) -> Path | None:
    parts = urlsplit(place)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(unquote(parts.path))
    return Path(place).expanduser() if re.match(r"[/~]", place) else None
