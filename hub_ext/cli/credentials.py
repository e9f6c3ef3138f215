"""Which hub a command talks to, and with which token; what ``apportion login`` keeps.

The file has one token an address, and a token is only ever sent to its own address.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hub_ext.bootstrap.health import reachable
from hub_ext.cli.client import Client, ClientError
from hub_ext.doctor.finding import read_deployment

TOKEN_VARIABLE = "APPORTION_TOKEN"
_SESSION_TOKEN_VARIABLE = "JUPYTERHUB_API_TOKEN"
_LONGEST_TOKEN = 4096


@dataclass(slots=True)
class Logins:
    """What is kept. tokens: by address of the hub; users: whose they are."""

    current: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)


def logins_file() -> Path:
    """Where logins are kept (XDG base directories)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    return folder / "apportion" / "logins.json"


def load() -> Logins:
    """The logins that are kept; none when there is no file. Raises ClientError."""
    path = logins_file()
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Logins()
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:
        values = None
    if not _is_sound(values):
        raise ClientError(f"{path} is damaged.", "Remove it and log in again: apportion login")
    return Logins(**values)


def _is_sound(values: Any) -> bool:
    return (
        isinstance(values, dict)
        and set(values) == set(Logins.__dataclass_fields__)
        and isinstance(values["current"], str)
        and all(_is_text_by_text(values[name]) for name in ("tokens", "users"))
        and all(is_token(token) for token in values["tokens"].values())
    )


def _is_text_by_text(values: Any) -> bool:
    return isinstance(values, dict) and all(isinstance(value, str) for value in values.values())


def save(logins: Logins) -> None:
    """Write whole or not at all; for the owner only. Raises ClientError."""
    path = logins_file()
    values = {name: getattr(logins, name) for name in Logins.__dataclass_fields__}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".logins-")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(values, stream, indent=2)
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ClientError(
            f"{path} cannot be written: {error.strerror}.",
            f"Without it, give the token in {TOKEN_VARIABLE}.",
        ) from None


def connect(url: str) -> Client:
    """The client that a command uses. url: of its option, or "". Raises ClientError."""
    environment = os.environ
    address = find_address(url)
    token = environment.get(TOKEN_VARIABLE, "").strip()
    if not token:
        token = load().tokens.get(address) or environment.get(_SESSION_TOKEN_VARIABLE, "").strip()
    if not token:
        raise ClientError(
            f"You are not logged in at {address}.", f"Log in: apportion login --url {address}"
        )
    if not is_token(token):
        raise ClientError(
            f"What {TOKEN_VARIABLE} or {_SESSION_TOKEN_VARIABLE} holds is no token.",
            "A token is one word of ASCII; the hub's page 'Token' makes one.",
        )
    return Client(address, token)


def find_address(url: str = "") -> str:
    """Of the hub: as given, by the environment, of the last login, or run from here.

    Raises ClientError when there is none.
    """
    wanted = url or os.environ.get("APPORTION_URL", "")
    if wanted:
        return read_address(wanted)
    found = load().current or _address_of_up()
    if not found:
        raise ClientError(
            "It is not known where your hub is.",
            "Log in: apportion login --url http://HOST:8000. To start one here: ./apportion up",
        )
    return found


def _address_of_up() -> str:
    """Of the deployment whose data directory is here; "" if there is none."""
    data = Path(os.environ.get("APPORTION_DATA", "var"))
    options: Mapping[str, Any] = read_deployment(data).started_with
    bind, port = options.get("bind"), options.get("port")
    if not isinstance(bind, str) or not isinstance(port, int):
        return ""
    host = reachable(bind)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def read_address(text: str) -> str:
    """The hub's address in one spelling; any page of the hub leads to it. Raises ClientError."""
    way_out = "Give the address of the hub as in the browser, such as http://HOST:8000."
    try:
        parts = urlsplit(text.strip())
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or not text.isascii():
        shown = text if "@" not in text else "what was given"
        raise ClientError(f"{shown:.200} is not the address of a hub.", way_out)
    if parts.username is not None or parts.password is not None:
        raise ClientError("The address of a hub has no name or password in it.", way_out)
    path = parts.path
    for page in ("/hub", "/services/apportion"):
        if f"{page}/" in f"{path}/":
            path = f"{path}/".partition(f"{page}/")[0]
    return f"{parts.scheme}://{parts.netloc.lower()}{path.rstrip('/')}"


def is_token(text: str) -> bool:
    """Whether this could be a token: one word that fits into a header."""
    return (
        text.isascii()
        and text.isprintable()
        and " " not in text
        and 0 < len(text) <= _LONGEST_TOKEN
    )
