"""``apportion login`` and ``logout``: keep a token of the hub for the other commands."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

import click

from hub_ext.cli.client import Client, ClientError, Refused
from hub_ext.cli.credentials import (
    TOKEN_VARIABLE,
    find_address,
    is_token,
    load,
    logins_file,
    save,
)
from hub_ext.cli.service_command import json_option, print_json, url_option, with_errors

_TOKEN_PAGE = "/hub/token"


@click.command()
@url_option
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
@json_option
def login(url: str, token_stdin: bool, as_json: bool) -> None:
    """Keep the address of a hub and your token for it.

    The hub's page 'Token' makes tokens. This asks for one, or takes it from standard input
    or from APPORTION_TOKEN; it is checked, and kept in your configuration directory,
    readable by you alone.
    """
    with_errors(lambda: _log_in(url, token_stdin, as_json))


def _log_in(url: str, token_stdin: bool, as_json: bool) -> None:
    address = find_address(url)
    token = _read_token(address, token_stdin)
    if not is_token(token):
        raise ClientError("That is no token: it is one word.", f"Make one: {address}{_TOKEN_PAGE}")
    user = _check(Client(address, token))
    logins = load()
    logins.current = address
    logins.tokens[address], logins.users[address] = token, user
    save(logins)
    if as_json:
        print_json({"url": address, "user": user})
        return
    click.echo(f"Logged in at {address} as {user}.")
    if urlsplit(address).scheme == "http" and not address.startswith("http://127."):
        click.echo(
            "Note: the address is not https; others on the way can read the token.", err=True
        )


def _read_token(address: str, from_stdin: bool) -> str:
    """From where it was asked for; never echoed."""
    if from_stdin:
        return sys.stdin.readline().strip()
    if os.environ.get(TOKEN_VARIABLE):
        return os.environ[TOKEN_VARIABLE].strip()
    if not sys.stdin.isatty():
        raise ClientError(
            "There is no terminal to ask for the token.",
            f"Give it by --token-stdin or {TOKEN_VARIABLE}.",
        )
    click.echo(f"Make a token: {address}{_TOKEN_PAGE}", err=True)
    return str(click.prompt("Token", hide_input=True, err=True)).strip()


def _check(client: Client) -> str:
    """Whose token it is, if the service takes it. Raises ClientError."""
    user = client.hub_user()
    if user.get("kind") != "user":
        raise ClientError("This token is of a service, not of a user.", "Log in with your own.")
    try:
        client.get("sessions", limit=1)
    except Refused as error:
        if error.status != 401:
            raise
        raise ClientError(
            "The hub knows this token, but it may not be used for Apportion.",
            "Make one without restricted scopes, or with access:services!service=apportion:"
            f" {client.url}{_TOKEN_PAGE}",
        ) from None
    return str(user.get("name"))


@click.command()
@url_option
def logout(url: str) -> None:
    """Forget a token that login has kept."""
    with_errors(lambda: _log_out(url))


def _log_out(url: str) -> None:
    logins = load()
    address = find_address(url) if url or not logins.current else logins.current
    if address not in logins.tokens:
        raise ClientError(f"You are not logged in at {address}.")
    logins.tokens.pop(address)
    logins.users.pop(address, None)
    if logins.current == address:
        logins.current = ""
    if logins.tokens:
        save(logins)
    else:
        logins_file().unlink(missing_ok=True)
    click.echo(f"Forgotten. The token itself is valid until you revoke it: {address}{_TOKEN_PAGE}")


commands = [login, logout]
