"""Where a command finds its hub and its token, and to whom the token goes."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from scripted_service import TOKEN, Answer, Cli, ScriptedService

from hub_ext.cli.client import ClientError
from hub_ext.cli.credentials import read_address

OTHER = "another-token"
UNSET: dict[str, str | None] = {"APPORTION_TOKEN": None, "APPORTION_URL": None}


@pytest.fixture
def logged_in(service: ScriptedService, cli: Cli) -> ScriptedService:
    """The scripted service, at which somebody has logged in."""
    service.says("GET", "/hub/api/user", "hub-user")
    service.says("GET", "sessions", "list")
    result = cli(
        "login", "--url", f"{service.url}/hub/home", "--token-stdin", input=TOKEN, env=UNSET
    )
    assert result.exit_code == 0, result.output
    service.requests.clear()
    return service


def logins(tmp_path: Path) -> Path:
    return tmp_path / "config" / "apportion" / "logins.json"


def test_a_token_is_kept_for_its_owner_alone_and_used_from_then_on(
    logged_in: ScriptedService, cli: Cli, tmp_path: Path
) -> None:
    assert cli("list", env=UNSET).exit_code == 0

    assert [request.token for request in logged_in.requests] == [TOKEN]
    assert stat.S_IMODE(logins(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(logins(tmp_path).parent.stat().st_mode) == 0o700


def test_login_tells_who_one_is(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "/hub/api/user", "hub-user")
    service.says("GET", "sessions", "list")

    assert cli("login").stdout == f"Logged in at {service.url} as alice.\n"
    assert json.loads(cli("login", "--json").stdout) == {"url": service.url, "user": "alice"}


def test_a_kept_token_goes_to_no_other_address(logged_in: ScriptedService, cli: Cli) -> None:
    other = ScriptedService()
    result = cli("list", "--url", other.url, env=UNSET)
    other.close()

    assert result.exit_code == 1
    assert f"apportion login --url {other.url}" in result.stderr
    assert other.requests == []


def test_a_redirect_is_told_and_not_followed(service: ScriptedService, cli: Cli) -> None:
    other = ScriptedService()
    elsewhere = Answer(302, "text/html", b"", {"Location": f"{other.url}/hub/login"})
    service.says_raw("GET", "sessions", elsewhere)
    result = cli("list")
    other.close()

    assert result.exit_code == 1
    assert f"sends elsewhere: {other.url}/hub/login" in result.stderr
    assert other.requests == []


def test_the_environment_wins_over_what_is_kept(logged_in: ScriptedService, cli: Cli) -> None:
    cli("list", env={"APPORTION_URL": None, "APPORTION_TOKEN": OTHER})

    assert [request.token for request in logged_in.requests] == [OTHER]


def test_a_session_may_use_its_own_token_as_the_last_resort(
    logged_in: ScriptedService, cli: Cli
) -> None:
    cli("list", env={**UNSET, "JUPYTERHUB_API_TOKEN": OTHER})
    cli("logout", env=UNSET)
    cli("list", "--url", logged_in.url, env={**UNSET, "JUPYTERHUB_API_TOKEN": OTHER})

    assert [request.token for request in logged_in.requests] == [TOKEN, OTHER]


def test_the_deployment_of_this_directory_is_the_hub_if_nothing_else_is_known(
    service: ScriptedService, cli: Cli, tmp_path: Path
) -> None:
    service.says("GET", "sessions", "list")
    (tmp_path / "data").mkdir()
    port = int(service.url.rpartition(":")[2])
    (tmp_path / "data" / "up.json").write_text(json.dumps({"bind": "0.0.0.0", "port": port}))

    assert cli("list", env={"APPORTION_URL": None}).exit_code == 0
    assert len(service.requests) == 1


def test_without_any_address_one_is_told_how_to_give_it(cli: Cli) -> None:
    result = cli("list", env=UNSET)

    assert result.exit_code == 1
    assert "./apportion up" in result.stderr
    assert "apportion login --url" in result.stderr


def test_a_token_that_the_hub_does_not_know_is_not_kept(
    service: ScriptedService, cli: Cli, tmp_path: Path
) -> None:
    service.says("GET", "/hub/api/user", "hub-forbidden")
    result = cli("login")

    assert result.exit_code == 1
    assert "The token is not valid" in result.stderr
    assert not logins(tmp_path).exists()


def test_a_token_that_may_not_use_the_service_is_told_the_scope(
    service: ScriptedService, cli: Cli, tmp_path: Path
) -> None:
    service.says("GET", "/hub/api/user", "hub-user")
    service.says("GET", "sessions", "unauthorized")
    result = cli("login")

    assert result.exit_code == 1
    assert "access:services!service=apportion" in result.stderr
    assert not logins(tmp_path).exists()


def test_the_token_of_a_service_is_refused(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "/hub/api/user", body={"kind": "service", "name": "grader"})

    assert "not of a user" in cli("login").stderr


@pytest.mark.parametrize("token", ["", "two words", "tab\tinside", "é"])
def test_what_cannot_be_a_token_is_refused_without_being_sent(
    service: ScriptedService, cli: Cli, token: str
) -> None:
    result = cli("login", "--token-stdin", input=token)

    assert result.exit_code == 1
    assert service.requests == []
    assert not token or token not in result.output


def test_a_broken_token_of_the_environment_is_not_shown(service: ScriptedService, cli: Cli) -> None:
    result = cli("list", env={"APPORTION_TOKEN": f"{TOKEN}\nX-Other: 1"})

    assert result.exit_code == 1
    assert "no token" in result.stderr
    assert service.requests == []


def test_without_a_terminal_nobody_is_asked(cli: Cli) -> None:
    result = cli("login", env={"APPORTION_TOKEN": None})

    assert result.exit_code == 1
    assert "--token-stdin" in result.stderr


def test_logout_forgets_and_names_the_page_that_revokes(
    logged_in: ScriptedService, cli: Cli, tmp_path: Path
) -> None:
    result = cli("logout", env=UNSET)

    assert f"{logged_in.url}/hub/token" in result.stdout
    assert not logins(tmp_path).exists()
    assert cli("logout", env={**UNSET, "APPORTION_URL": logged_in.url}).exit_code == 1


@pytest.mark.parametrize(
    "damage",
    ["", "[]", "{}", '{"current": 1, "tokens": {}, "users": {}}', '{"current": ""'],
)
def test_a_damaged_file_is_named(cli: Cli, tmp_path: Path, damage: str) -> None:
    logins(tmp_path).parent.mkdir(parents=True)
    logins(tmp_path).write_text(damage)
    result = cli("list", env=UNSET)

    assert result.exit_code == 1
    assert "logins.json is damaged" in result.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://lab:8000", "http://lab:8000"),
        ("http://LAB:8000/", "http://lab:8000"),
        ("https://lab/hub/home", "https://lab"),
        ("https://lab/hub", "https://lab"),
        ("https://lab/jupyter/hub/token?x=1#y", "https://lab/jupyter"),
        ("https://lab/jupyter/services/apportion/", "https://lab/jupyter"),
        ("https://lab/hubs/one", "https://lab/hubs/one"),
    ],
)
def test_any_page_of_the_hub_leads_to_its_address(given: str, address: str) -> None:
    assert read_address(given) == address


@pytest.mark.parametrize(
    "given",
    ["lab", "lab:8000", "ftp://lab", "http://", "http://lab:port", "http://ad:min@lab", "//"],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ClientError) as refusal:
        read_address(given)

    assert "ad:min" not in refusal.value.message
