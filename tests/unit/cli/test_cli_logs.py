"""``apportion logs``."""

from __future__ import annotations

from typing import Any

from scripted_service import Cli, ScriptedService, recorded

from hub_ext.cli.client import Client
from hub_ext.cli.logs import follow_log

RUNNING = recorded("running")
PATH = f"sessions/{RUNNING['id']}/logs"


def a_log(*lines: str, live: bool = True, after: str = "7.000000001", message: str = "") -> Any:
    return {
        "lines": [{"at": 7.0, "text": line} for line in lines],
        "cut": False,
        "message": message,
        "next": after,
        "live": live,
    }


def test_the_last_lines_go_to_the_output(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body={"sessions": [RUNNING], "after": None})
    service.says("GET", PATH, body=a_log("one", "two"))
    result = cli("logs", "train", "--tail", "2")
    assert result.stdout == "one\ntwo\n"
    assert service.requests[-1].target == f"{PATH}?tail=2"


def test_what_is_missing_goes_to_the_errors(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body={"sessions": [RUNNING], "after": None})
    service.says("GET", PATH, body=a_log(message="It is gone."))
    result = cli("logs", "train")
    assert (result.stdout, result.stderr) == ("", "It is gone.\n")


def test_following_asks_from_the_last_line_on_until_the_end(service: ScriptedService) -> None:
    answers = [a_log("one"), a_log(), a_log("two", live=False, after="8.5")]
    asked: list[tuple[Any, Any]] = []

    class Scripted(Client):
        def get(self, *path: str, **query: Any) -> dict[str, Any]:
            asked.append((query["tail"], query["since"]))
            return dict(answers.pop(0))

    client = Scripted(service.url, "t")
    texts = [
        line["text"]
        for log in follow_log(client, RUNNING["id"], 10, pause=lambda _: None)
        for line in log["lines"]
    ]
    assert texts == ["one", "two"]
    assert asked == [(10, "0"), (5000, "7.000000001"), (5000, "7.000000001")]
