"""The flow that every Apportion spawner shares: ask, wait, start, report, release.

The wait for a slice happens in ``run_pre_spawn_hook``, whose time does not count against
``start_timeout``. The engine's own classes (docker.py, process.py) only launch, look and stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from jupyterhub import orm
from jupyterhub.spawner import Spawner, SpawnException
from jupyterhub.utils import maybe_future, url_path_join
from sqlalchemy import inspect
from traitlets import Integer, Unicode, default

from .engine import EngineError
from .failures import refusal, start_failure
from .glances import Glances
from .grant import Grant, Placement
from .hub_wide import glances, service_client, start_throttle
from .launch_form import (
    accept_launch_options,
    fetch_launch_form,
    launch_options_from_form,
)
from .own_server import KnownByToken
from .progress import ProgressJournal, stage_event
from .queue_wait import STILL_ENDING, QueueWait, ServerRequest, SessionEnded, session_to_join
from .readiness import ServerExited, wait_until_ready
from .release import HubLifetime, ServerKey, pending_release, release_in_background
from .reporting import GrantTakenBack, StatusReporter
from .service_client import Account, Ending, ServiceClient, ServiceError
from .share_links import SharedByLink
from .throttle import StartThrottle, default_concurrent_starts
from .timing import Stopwatch
from .turn import Turn

#: How long a stop waits for the service to note it; the release itself goes on until it is heard.
RELEASE_LIMIT_S = 3.0
#: Kept back from ``start_timeout``, so that the reason is ours and not the hub's.
START_MARGIN_S = 1.0

_hub_lifetime = HubLifetime()


class ApportionSpawnerMixin(SharedByLink, KnownByToken, Spawner):
    """Waits in Apportion's queue, then lets the engine's class start the server."""

    server: Any  # a property of the hub's Spawner

    service_url = Unicode(
        "http://127.0.0.1:8082",
        help="""Base URL of the Apportion service, without its /services/apportion prefix.

        Example: ``c.ApportionSpawnerMixin.service_url = "http://127.0.0.1:8082"``
        """,
    ).tag(config=True)

    service_token = Unicode(
        help="""Secret that hub and service share, never handed to a session; it opens the spawner
        half of Apportion's REST interface.""",
    ).tag(config=True)

    service_name = Unicode(
        "apportion", help="Name of Apportion's service in the hub, which starts granted sessions."
    ).tag(config=True)

    max_concurrent_starts = Integer(
        min=1,
        help="""How many servers this hub starts at the same moment; the others wait their turn,
        and their pending page says how many are in front of them.

        A start is about a second of CPU. Default: the number of cores plus two. A site with many
        nodes sets it to about the sum of their cores.
        """,
    ).tag(config=True)

    @default("max_concurrent_starts")
    def _default_max_concurrent_starts(self) -> int:
        return default_concurrent_starts()

    @default("apply_user_options")
    def _default_apply_user_options(self) -> Callable[[Any, Any], None]:
        return accept_launch_options

    @default("options_form")
    def _default_options_form(self) -> Callable[[Any], Awaitable[str]]:
        return fetch_launch_form

    @default("options_from_form")
    def _default_options_from_form(self) -> Callable[..., Any]:
        return launch_options_from_form

    def __init__(self, **kwargs: Any) -> None:
        self.launch_options: dict[str, Any] = {}
        self.journal = ProgressJournal()
        self.placement: Placement | None = None
        #: "" nothing, then "waiting" (queue and turn), "starting", "running"
        self.stage = ""
        self._grant: Grant | None = None
        self._wait: QueueWait | None = None
        self._outcome: tuple[str, str] | None = None
        self._turn = Turn()
        self._server_ready = asyncio.Event()
        self.stopwatch = Stopwatch()
        self._reporter: StatusReporter | None = None
        super().__init__(**kwargs)

    # What an engine's class provides

    async def launch_server(
        self, grant: Grant, announced: Callable[[], Awaitable[None]]
    ) -> tuple[str, int]:
        """Start the server and return its (ip, port); await ``announced()`` before it may run."""
        raise NotImplementedError

    async def exit_reason(self) -> str | None:
        """Why the server has ended, with its last log lines; None while it runs."""
        raise NotImplementedError

    async def stop_server(self, now: bool) -> None:
        """Stop the server and leave nothing of it behind, also in the middle of a launch."""
        raise NotImplementedError

    async def discard_server(self) -> None:
        """Remove what a server that ended by itself has left behind."""

    def report_details(self) -> dict[str, str]:
        """What goes along with a status report: the container's id, once there is one."""
        return {}

    # The service

    @property
    def service(self) -> ServiceClient:
        """The client of the queue service."""
        return service_client(self.service_url, self.service_token)

    @property
    def glances(self) -> Glances:
        """How the sessions of this hub stand."""
        return glances(self.service_url, self.service_token)

    @property
    def start_throttle(self) -> StartThrottle:
        """The one throttle of this hub."""
        return start_throttle(self.max_concurrent_starts)

    @property
    def server_key(self) -> ServerKey:
        return (self.user.name, self.name)

    def options_from_query(self, query_data: dict[str, list[str]]) -> Any:
        """Options in the address. Reloading a refused form is no request.

        The hub leaves its ``_xsrf`` in that page's address, takes it for an option on reload, and
        would start a server that nobody asked for; an error here shows the form instead.
        """
        if set(query_data) <= {"_xsrf"}:
            raise SpawnException("Please start it from this form.", reason="reloaded-form")
        return self.options_from_form(query_data)

    # Ask and wait

    async def run_pre_spawn_hook(self) -> None:
        """Wait for the slice and for a turn to start; this time is not start_timeout's."""
        self._begin()
        try:
            await maybe_future(super().run_pre_spawn_hook())
            wait = await self._queue_up()
            while not await self._may_start(wait):
                self._turn.leave()
        except asyncio.CancelledError:
            self._cancelled()
            raise
        except (ServiceError, SessionEnded) as e:
            raise refusal(e) from e

    def _begin(self) -> None:
        _hub_lifetime.watch()
        if self.journal.used:
            self.journal = ProgressJournal()
        self.placement = self._grant = self._wait = self._outcome = self._reporter = None
        self._server_ready = asyncio.Event()
        self.stopwatch = Stopwatch()
        self.stage = "waiting"

    async def _queue_up(self) -> QueueWait:
        earlier = pending_release(self.server_key)
        if earlier is not None:
            self._tell(0, STILL_ENDING, "PENDING")
            await asyncio.wait([earlier])
        user, server_name = self.server_key
        joins = ""
        if self._asked_by_service():
            joins = await session_to_join(self.service, user, server_name)
        account = Account.of(self.user)
        request = ServerRequest(account, server_name, self.display_name, self.launch_options, joins)
        self._wait = QueueWait(self.service, request, self.journal.publish)
        return self._wait

    async def _may_start(self, wait: QueueWait) -> bool:
        """Wait for slice and turn; False when the slice was taken back before it was used."""
        self.placement = self._grant = None
        grant = (await wait.granted()).grant
        assert grant is not None
        self._grant = grant
        self.placement = Placement(**grant.model_dump(include=set(Placement.model_fields)))
        self.stopwatch.mark("slice")
        if not await wait.while_granted(self._turn.take(self.start_throttle, self._tell_turn)):
            return False
        self.stopwatch.mark("turn")
        self._reporter = self._new_reporter()
        try:
            await self._reporter.confirm()
        except GrantTakenBack as e:
            wait.note(e.session)
            return False
        self.stopwatch.mark("confirm")
        return True

    def _tell_turn(self, others: str) -> None:
        self._tell(20, f"Slice granted{self._where()}; {others}", "SCHEDULED")

    def _asked_by_service(self) -> bool:
        requester = getattr(self.handler, "current_user", None)
        return isinstance(requester, orm.Service) and requester.name == self.service_name

    # Start

    async def start(self) -> tuple[str, int]:
        """Start the server under the grant; returns (ip, port) once it really serves."""
        limit_s = max(self.start_timeout - START_MARGIN_S, self.start_timeout / 2)
        try:
            async with asyncio.timeout(limit_s):
                return await self._start()
        except asyncio.CancelledError:
            self._cancelled()
            raise
        except (SessionEnded, GrantTakenBack) as e:
            if isinstance(e, GrantTakenBack) and self._wait is not None:
                self._wait.tell(e.session)  # the pending page goes on waiting
            raise refusal(e) from e
        except (EngineError, ServerExited, ServiceError, TimeoutError) as e:
            failure = start_failure(e, self._grant, limit_s)
            self._outcome = ("ERROR", failure.message)
            raise failure from e
        except Exception as e:
            self._outcome = ("ERROR", f"The start failed: {e}")
            raise
        finally:
            self._turn.leave()

    async def _start(self) -> tuple[str, int]:
        grant, reporter = self._grant, self._reporter
        assert grant is not None
        assert reporter is not None
        self.stage = "starting"
        self._tell(40, f"Starting{self._where()}.", "STARTING")
        self.save_state()
        reporter.announce_start()
        ip, port = await self.launch_server(grant, reporter.announced)
        self._tell(70, "Waiting for Jupyter to come up.", "STARTING")
        url = url_path_join(f"http://{ip}:{port}", self.server.base_url, "api")
        await wait_until_ready(self._server_ready, url, self.exit_reason)
        self.stopwatch.mark("Jupyter")
        self.log.info("Started %s: %s", self._log_name, self.stopwatch)
        self._tell(95, "Your server is ready.", "RUNNING")
        return ip, port

    def mark_server_ready(self) -> None:
        """The server itself says that it serves (see handlers.ReadyHandler)."""
        self._server_ready.set()

    def start_polling(self) -> None:
        """Called by the hub once a server runs, be it new or found again after a restart."""
        super().start_polling()
        if self.placement is None or self.stage == "running":
            return
        self.stage = "running"
        if self._reporter is None:
            self.save_state()
            self._reporter = self._new_reporter()
        self._reporter.report_running()

    def _new_reporter(self) -> StatusReporter:
        assert self.placement is not None
        return StatusReporter(self.service, self.placement, self.report_details, self.log)

    # Stop, cancel, release

    async def stop(self, now: bool = False) -> None:
        """Stop the server; its slice is released in ``run_post_stop_hook``."""
        await self.stop_server(now)

    async def poll(self) -> Any:
        """None while the session waits for its slice: there is nothing to look at yet."""
        return None if self.stage == "waiting" else await super().poll()

    async def run_post_stop_hook(self) -> None:
        """Release the slice, whatever ended the server, and wait a moment until it is noted."""
        self._turn.leave()
        gone = True
        try:
            await self.discard_server()
        except EngineError as e:
            gone = False
            self.log.warning("Could not clean up after %s: %s", self._log_name, e)
        release = self._release(server_gone=gone)
        if release is not None:
            await asyncio.wait([release], timeout=RELEASE_LIMIT_S)
        self.journal.close()
        self.unshare_at_end()
        self.placement = self._grant = self._reporter = None
        self.stage = ""
        await maybe_future(super().run_post_stop_hook())

    def _cancelled(self) -> None:
        """A cancelled spawn: give everything back in the background, and return at once."""
        self._turn.leave()
        if _hub_lifetime.ending:
            return  # the hub stops; the session keeps its place
        if self.stage == "waiting":
            self._release(server_gone=True)
        # While starting, a container may be in the making: its slice is free only once that is
        # gone, which stop() and run_post_stop_hook() see to.
        self.journal.close()
        # The hub takes a spawner with a server and nothing pending for a ready one, and would
        # send the browser to a server that never was, in the second before it stops it.
        self.server = None

    def _release(self, *, server_gone: bool) -> asyncio.Task[None] | None:
        """End the session if it is ours to end.

        A spawner that a restarted hub made for a session that waits or starts has no part in it:
        that session stays in the queue, and the service asks for its server again.
        """
        wait, placement, service = self._wait, self.placement, self.service
        outcome, message = self._outcome or self._default_outcome()
        used = placement is not None and self.stage != "waiting"
        run_id = placement.run_id if placement is not None and used else None
        ending = Ending(outcome, message, server_gone, run_id)
        self._wait = None
        if wait is not None:
            return release_in_background(self.server_key, lambda: wait.give_up(ending), self.log)
        if placement is not None and self.stage == "running":
            session_id = placement.session_id
            return release_in_background(
                self.server_key, lambda: service.end(session_id, ending), self.log
            )
        return pending_release(self.server_key)

    def _default_outcome(self) -> tuple[str, str]:
        if self.stage == "running":
            return ("TERMINATED", "")
        return ("CANCELLED", "Cancelled before it ran.")

    # State and progress

    def get_state(self) -> dict[str, Any]:
        """The hub's state plus where the session's server is."""
        state: dict[str, Any] = super().get_state()
        if self.placement is not None:
            state["apportion"] = {
                "placement": self.placement.model_dump(),
                "running": self.stage == "running",
                "shared": self.linked,
                "token": self.token_hash,
            }
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        saved = state.get("apportion")
        if saved:
            self.placement = Placement(**saved["placement"])
            self.stage = "running" if saved["running"] else ""
            self.linked, self.saved_hash = saved.get("shared", False), saved.get("token", "")

    def save_state(self) -> None:
        """Store the state now; the hub itself does so only after ``start()`` has returned.

        Without this, a hub killed while a server starts would not find it again.
        """
        self.orm_spawner.state = self.get_state()
        inspect(self.orm_spawner).session.commit()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What happens to the request, for one tab; an event only when something changed."""
        async for event in self.journal.follow():
            yield event

    def _tell(self, progress: int, message: str, status: str) -> None:
        session_id = self.placement.session_id if self.placement else ""
        self.journal.publish(stage_event(progress, message, status, session_id))

    def _where(self) -> str:
        return f" on {self.placement.node}" if self.placement and self.placement.node else ""
