"""The service's REST interface as a spawner sees it, small enough to break at will in a test."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

API = "/services/apportion/api/v1"
TOKEN = "spawner-token"
RECLAIMED = "Reclaimed for project ml101. It starts again in turn."

GRANTED = ("SCHEDULED", "PREPARING", "STARTING", "RUNNING")
LIVE = ("PENDING", *GRANTED, "PREEMPTED")


class QueueService:
    """Sessions by id, ``capacity`` of which are granted; ``stop`` and ``start`` restart it."""

    def __init__(self, capacity: int = 100, grant: dict[str, Any] | None = None) -> None:
        self.capacity = capacity
        self.grant_values = grant or {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.asked_in: list[tuple[str | None, str, str | None]] = []
        self.refuse_next: tuple[int, dict[str, Any]] | None = None
        #: set to hold back the answer to a request that is already stored
        self.hold_answers: asyncio.Event | None = None
        #: the next status report comes just after the session was evicted
        self.take_back_at_report = False
        #: the next report of an end is noted, but its answer gets lost
        self.lose_next_answer_to_ended = False
        self._changed = asyncio.Event()
        self._runs = 0
        self._port = _free_port()
        self._server: HTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        routes = [
            ("/spawner/requests", _Requests),
            ("/spawner/sessions/([^/]+)/wait", _Wait),
            ("/spawner/sessions/([^/]+)/status", _Status),
            ("/spawner/sessions/([^/]+)/ended", _Ended),
            ("/spawner/ended", _Ended),
            ("/spawner/lookup", _Lookup),
            ("/spawner/glances", _Glances),
            ("/spawner/sessions/([^/]+)/(panel|extend|in-use|stop|image-request)", _Own),
            ("/spawner/dry-run", _DryRun),
            ("/spawner/launch-form", _Form),
        ]
        application = Application([(API + path, handler) for path, handler in routes], queue=self)
        self._server = HTTPServer(application)
        self._server.listen(self._port, "127.0.0.1")

    async def stop(self) -> None:
        """Gone for its clients, open connections included; the sessions stay."""
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()
            self._server = None

    def live(self, user: str, server_name: str) -> dict[str, Any] | None:
        for session in self.sessions.values():
            key = (session["user"], session["server_name"])
            if key == (user, server_name) and session["status"] in LIVE:
                return session
        return None

    def add(self, user: str, server_name: str, options: dict[str, Any]) -> dict[str, Any]:
        session_id = f"{len(self.sessions) + 1:032x}"
        self.sessions[session_id] = {
            "id": session_id,
            "user": user,
            "server_name": server_name,
            "options": options,
            "status": "PENDING",
            "version": 1,
            "run_id": None,
            "reason": {"code": "no-slice", "message": "No slice is free.", "help": "Wait."},
            "position": 1,
            "estimate_s": 700,
            "outcome": None,
        }
        self.schedule()
        return self.sessions[session_id]

    def schedule(self) -> None:
        """Grant in order while there is room."""
        for session in self.sessions.values():
            booked = sum(other["run_id"] is not None for other in self.sessions.values())
            if session["status"] == "PENDING" and booked < self.capacity:
                self._runs += 1
                self.change(session, status="SCHEDULED", position=None, run_id=self._runs)

    def evict(self, session: dict[str, Any]) -> None:
        """It is being stopped for another project; its slice is held until it has ended."""
        self.capacity = 0
        reason = {"code": "reclaim", "message": RECLAIMED, "help": ""}
        self.change(session, status="PREEMPTED", reason=reason, estimate_s=None)

    def requeue(self, session: dict[str, Any]) -> None:
        """Its slice is free, and it waits again."""
        self.change(session, status="PENDING", position=1, run_id=None)
        self.schedule()

    def offer(self, capacity: int = 1) -> None:
        """Grant what waits."""
        self.capacity = capacity
        self.schedule()

    def change(self, session: dict[str, Any], **values: Any) -> None:
        session.update(values)
        session["version"] += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, timeout_s: float) -> None:
        event = self._changed
        await asyncio.wait([asyncio.ensure_future(event.wait())], timeout=timeout_s)

    def view(self, session: dict[str, Any]) -> dict[str, Any]:
        grant = None
        if session["status"] in GRANTED:
            grant = {
                "session_id": session["id"],
                "run_id": session["run_id"],
                "node": "gpu-1",
                "image": "apportion/base:test",
                "container_name": f"apportion-test-{session['id'][-12:]}",
                "env": {"APPORTION_FGPU": "0.5"},
                "mounts": [],
                "cpu_milli": 1000,
                "memory_mib": 1024,
                **self.grant_values,
            }
        return {**session, "grant": grant}

    @property
    def only(self) -> dict[str, Any]:
        """The one session that there is."""
        (session,) = self.sessions.values()
        return session

    def waits(self) -> list[str]:
        return [path for path, _ in self.calls if path.endswith("/wait")]

    def outcomes(self) -> list[str | None]:
        return [session["outcome"] for session in self.sessions.values()]

    def endings(self) -> list[dict[str, Any]]:
        return [body for path, body in self.calls if path.endswith("/ended")]

    def reported(self) -> list[str]:
        return [body["to"] for path, body in self.calls if path.endswith("/status")]


class _Handler(RequestHandler):
    @property
    def queue(self) -> QueueService:
        return self.settings["queue"]

    def prepare(self) -> None:
        if self.request.headers.get("Authorization") != f"token {TOKEN}":
            self.fail(401, {"code": "unauthorized", "message": "no"})
            return
        body = json.loads(self.request.body) if self.request.body else {}
        self.queue.calls.append((self.request.path.removeprefix(API), body))
        self.values = body
        if self.queue.refuse_next:
            status, error = self.queue.refuse_next
            self.queue.refuse_next = None
            self.fail(status, error)

    def fail(self, status: int, error: dict[str, Any]) -> None:
        self.set_status(status)
        self.finish({"error": error})

    def session(self, session_id: str) -> dict[str, Any] | None:
        found = self.queue.sessions.get(session_id)
        if found is None:
            self.fail(404, {"code": "not_found", "message": "There is no such session."})
        return found


class _Requests(_Handler):
    async def post(self) -> None:
        body = self.values
        session = self.queue.live(body["user"], body["server_name"])
        if session is None:
            session = self.queue.add(body["user"], body["server_name"], body["options"])
        if self.queue.hold_answers is not None:
            await self.queue.hold_answers.wait()
        self.finish(self.queue.view(session))


class _Wait(_Handler):
    async def get(self, session_id: str) -> None:
        session = self.session(session_id)
        if session is None:
            return
        if session["version"] <= int(self.get_query_argument("since")):
            await self.queue.changed(float(self.get_query_argument("timeout")))
        session = self.session(session_id)
        if session is not None:
            self.finish(self.queue.view(session))


class _Status(_Handler):
    def post(self, session_id: str) -> None:
        session = self.session(session_id)
        if session is None:
            return
        if self.queue.take_back_at_report:
            self.queue.take_back_at_report = False
            self.queue.evict(session)
        stale = self.values.get("run_id", session["run_id"]) != session["run_id"]
        if stale or session["status"] not in GRANTED:
            self.fail(409, {"code": "conflict", "message": f"It is {session['status']}."})
            return
        self.queue.change(session, status=self.values["to"])
        self.finish(self.queue.view(session))


class _Ended(_Handler):
    def post(self, session_id: str = "") -> None:
        if session_id:
            session = self.session(session_id)
        else:
            session = self.queue.live(self.values["user"], self.values["server_name"])
            if session is None:
                self.fail(404, {"code": "not_found", "message": "There is no such session."})
        if session is None:
            return
        stale = self.values.get("run_id", session["run_id"]) != session["run_id"]
        if session["status"] == "PREEMPTED" and not stale:
            self.queue.requeue(session)
        elif session["outcome"] is None and not stale:
            outcome = self.values["outcome"]
            reason = {"code": "ended", "message": self.values["message"]}
            self.queue.change(session, status=outcome, outcome=outcome, reason=reason, run_id=None)
            self.queue.schedule()
        if self.queue.lose_next_answer_to_ended:
            self.queue.lose_next_answer_to_ended = False
            self.fail(502, {"code": "gateway", "message": "lost"})
            return
        self.finish(self.queue.view(session))


class _Lookup(_Handler):
    def get(self) -> None:
        arguments = [self.get_query_argument(name) for name in ("user", "server_name")]
        session = self.queue.live(*arguments)
        if session is None:
            self.fail(404, {"code": "not_found", "message": "There is no such session."})
        else:
            self.finish(self.queue.view(session))


class _Glances(_Handler):
    def post(self) -> None:
        sessions = self.queue.sessions
        self.finish(
            {"sessions": {each: sessions[each] for each in self.values["ids"] if each in sessions}}
        )


class _Own(_Handler):
    """A panel and what is done there; says in which language and by whom it was asked."""

    def post(self, session_id: str, what: str) -> None:
        session = self.session(session_id)
        if session is None:
            return
        language = self.request.headers.get("Accept-Language")
        self.queue.asked_in.append((self.request.method, what, language))
        if what == "image-request":
            self.finish({"image_request": {"id": "r1", "name": self.values.get("name")}})
            return
        more = {"can": {"stop": True}, "links": {"page": f"sessions/{session_id}"}}
        self.finish({**session, **more, "image_request": {"id": "r1"}})

    delete = post


class _DryRun(_Handler):
    def post(self) -> None:
        self.finish({"starts_now": True, "node": "gpu-1", "sentence": "Starts now on gpu-1."})


class _Form(_Handler):
    def post(self) -> None:
        self.finish({"html": f"<p>form of {self.queue.calls[-1][1]['user']}</p>"})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
