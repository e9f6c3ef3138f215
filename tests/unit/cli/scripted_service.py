"""A hub and its service on a real local port, that answer what a test has written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from click.testing import Result

TOKEN = "0123456789abcdef-secret"
"""Of whoever runs the commands; it must never be shown."""
Cli = Callable[..., Result]
"""Runs ``apportion ARGUMENTS``, see the fixture."""
API = "/services/apportion/api/v1/"
RECORDED = json.loads((Path(__file__).parent / "recorded_answers.json").read_text("utf-8"))
"""What a real deployment has answered."""


def recorded(name: str, /, **changes: Any) -> dict[str, Any]:
    """The body of a recorded answer, with some fields replaced."""
    return {**json.loads(json.dumps(RECORDED[name]["body"])), **changes}


@dataclass(frozen=True, slots=True)
class Request:
    """One that came in. target: below the API if it is there, with its query."""

    method: str
    target: str
    body: Any
    token: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One to give. cut: the connection breaks that many bytes before the end."""

    status: int
    type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0


class ScriptedService:
    """Answers by method and path; of several answers, each once and the last for ever."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self) -> None:
                service.handle(self)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Nothing listens any more."""
        self._server.shutdown()
        self._server.server_close()

    def says(
        self, method: str, path: str, name: str = "", *, body: Any = None, status: int = 0
    ) -> None:
        """A recorded answer by its name, or a body of the test's own."""
        known = RECORDED.get(name, {"status": 200, "type": "application/json", "body": body})
        content = known["body"] if body is None else body
        text = content if isinstance(content, str) else json.dumps(content)
        self.says_raw(method, path, Answer(status or known["status"], known["type"], text.encode()))

    def says_raw(self, method: str, path: str, answer: Answer) -> None:
        """Any answer."""
        self._answers.setdefault((method, path), []).append(answer)

    def streams(self, path: str, *sessions: dict[str, Any]) -> None:
        """Server-sent events, and then the end of the stream."""
        events = [f"event: session\nid: 1\ndata: {json.dumps(each)}\n\n" for each in sessions]
        text = ": still here\n\n" + "".join(events)
        self.says_raw("GET", path, Answer(200, "text/event-stream", text.encode()))

    def asked(self, method: str, path: str = "") -> list[Request]:
        """The requests of a method, to a path (without its query) if one is named."""
        return [
            each
            for each in self.requests
            if each.method == method and path in ("", each.target.partition("?")[0])
        ]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Note the request and give the answer."""
        content = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        target = handler.path.removeprefix(API)
        token = handler.headers.get("Authorization", "").removeprefix("token ")
        body = json.loads(content) if content else None
        self.requests.append(Request(str(handler.command), target, body, token))
        answers = self._answers.get((str(handler.command), target.partition("?")[0]), [])
        answer = Answer(404, "text/html", b"nothing is written down for this")
        if answers:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", answer.type)
        if answer.type != "text/event-stream":
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body[: len(answer.body) - answer.cut])
        handler.close_connection = True
