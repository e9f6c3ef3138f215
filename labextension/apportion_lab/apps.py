"""The image's web apps as jupyter-server-proxy serves them: started, watched, restarted.

jupyter-server-proxy starts an app with the first request for it, and that request waits. Here
an app is started apart from any page, so that its card can say how far it is, and why it failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado import httputil, web
from tornado.routing import RuleRouter

from apportion_lab.app_problem import Problem
from apportion_lab.ports import listens

LOG_DIRECTORY = Path("/tmp/apportion-apps")
"""Where the image's configuration has the apps print to."""
EXPECTED_S = 20.0
"""How long a first start takes, as far as nobody knows better."""
_STOP_S = 10.0
_LOOK_S = 0.2
_MOST_LOG = 16 * 1024
_MOST_ICON = 64 * 1024
_LAST_LINE = 300


class UnknownApp(Exception):
    """The image declares no app of this name."""


class _HasEnded(Exception):
    """It ended before it was ready."""


class _NoConnection:
    """A request that nobody has sent."""

    def set_close_callback(self, callback: object) -> None:
        """It is never closed."""


@dataclass(slots=True)
class App:
    """One app. ``handler``, ``state``: of jupyter-server-proxy, with the process in it."""

    name: str
    title: str
    icon: str
    timeout_s: float
    handler: type[web.RequestHandler]
    state: dict[str, Any]
    web_app: web.Application
    log: Path
    expected_s: float = EXPECTED_S
    began_at: float = 0.0
    """Monotonic s of its last start."""
    problem: Problem | None = None
    restarts: int = 0
    """How often it has died after it was ready, and was started again by itself."""
    _ready_pid: int = 0
    """Of the process that was ready last; 0: none since its start."""
    _start: asyncio.Task[None] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it unless it runs or starts; returns at once."""
        if self._start is not None and not self._start.done():
            return
        if self._process is not None and self._process.running and self.problem is None:
            return
        self.problem, self.began_at, self._ready_pid = None, time.monotonic(), 0
        self._start = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """End it; silently when it does not run."""
        if self._start is not None and not self._start.done():
            self._start.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._start
        self.problem = None
        await self._end()

    async def _end(self, process: Any = None) -> None:
        """What runs of it, or is left of it; also a process that jupyter-server-proxy forgot."""
        process = process or self._process
        if process is not None and process.running:
            group = _own_group(process.pid)
            with contextlib.suppress(TimeoutError, ProcessLookupError):
                async with asyncio.timeout(_STOP_S):
                    await process.terminate()
            if process.running:
                await process.kill()
            if group is not None:  # what it has started and not ended
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
        self.state.pop("proc", None)
        self.log.with_suffix(".pid").unlink(missing_ok=True)

    async def describe(self, base_url: str) -> dict[str, Any]:
        """State: stopped, starting, ready or failed; ``seconds`` since its start."""
        state = await self._state()
        seconds = time.monotonic() - self.began_at if state == "starting" else 0.0
        return {
            "name": self.name,
            "title": self.title,
            "icon": self.icon,
            "state": state,
            "seconds": round(seconds, 1),
            "expected_s": round(self.expected_s, 1),
            "restarts": self.restarts,
            "problem": None if self.problem is None else self.problem.as_json(),
            "message": "" if self.problem is None else self.problem.sentence,
            "url": f"{base_url}{self.name}/",
        }

    def printed(self) -> str:
        """The end of what it has printed since its last start; "" when that is nothing."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _MOST_LOG))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    @property
    def _process(self) -> Any:
        """jupyter-server-proxy's; None when there is none."""
        process = self.state.get("proc")
        return process if hasattr(process, "running") else None

    async def _state(self) -> str:
        if self._start is not None and not self._start.done():
            return "starting"
        process = self._process
        if process is None:
            return "stopped" if self.problem is None else "failed"
        if not process.running:
            self.problem = Problem("ended", printed=self._last_line())
            return "failed"
        if await listens(int(self.state.get("port", 0))):
            self.restarts += self._ready_pid not in {0, process.pid}
            self.problem, self._ready_pid = None, process.pid
            return "ready"
        if self.problem is not None:
            return "failed"
        if self._ready_pid not in {0, process.pid}:  # it has died, and is being started again
            self.restarts += 1
            self.began_at, self._ready_pid = time.monotonic(), 0
        elif not self.began_at:  # a page has started it
            self.began_at = time.monotonic()
        if time.monotonic() - self.began_at > self.timeout_s:
            self.problem = self._no_port()
            return "failed"
        return "starting"

    async def _run(self) -> None:
        """As jupyter-server-proxy would with a first request; its own lock sees to that."""
        try:
            await self._end()
            request = httputil.HTTPServerRequest(
                start_line=httputil.RequestStartLine("GET", f"/{self.name}/", "HTTP/1.0"),
                connection=_NoConnection(),  # type: ignore[arg-type]
            )
            handler = self.handler(self.web_app, request, state=self.state)
            self.log.unlink(missing_ok=True)
            port = int(handler.port)  # type: ignore[attr-defined]
            if await listens(port):  # what answers there would be taken for it
                self.problem = Problem("port_taken", str(port))
                return
            await self._ensure(handler)
        except _HasEnded:
            self.problem = Problem("ended", printed=self._last_line())
        except web.HTTPError:
            self.problem = self._why_not()
        except OSError as error:
            self.problem = Problem("cannot_start", error.strerror or str(error))
        except Exception as error:
            self.problem = Problem("cannot_start", str(error))
        else:
            self.expected_s = max(1.0, time.monotonic() - self.began_at)

    async def _ensure(self, handler: Any) -> None:
        """As jupyter-server-proxy's ensure_process, which starts what has ended again and again,
        and waits for its port as long as it may. Raises _HasEnded, HTTPError."""
        ensuring = asyncio.ensure_future(handler.ensure_process())
        process, first = None, None
        try:
            while not ensuring.done():
                await asyncio.wait([ensuring], timeout=_LOOK_S)
                process = self._process or process
                if ensuring.done() or process is None or process.proc is None:
                    continue
                first = first or process.pid
                if process.pid != first or process.returncode == 0 or self._pauses(process.pid):
                    raise _HasEnded
            ensuring.result()
        except BaseException:  # also when it is to be stopped
            process = self._process or process
            ensuring.cancel()
            await asyncio.gather(ensuring, return_exceptions=True)
            await self._end(process)
            raise

    def _pauses(self, pid: int) -> bool:
        """Whether the image's way to start an app waits, since another process of it has ended."""
        try:
            return int(self.log.with_suffix(".pid").read_text().split()[0]) != pid
        except (OSError, ValueError, IndexError):
            return False

    def _why_not(self) -> Problem:
        if time.monotonic() - self.began_at < self.timeout_s - 1:
            return Problem("ended", printed=self._last_line())
        return self._no_port()

    def _no_port(self) -> Problem:
        return Problem("no_port", f"{self.timeout_s:.0f}", self._last_line())

    def _last_line(self) -> str:
        lines = [line for line in self.printed().splitlines() if line.strip()]
        return lines[-1].strip()[:_LAST_LINE] if lines else ""


class Apps:
    """All apps that the image declares (jupyter-server-proxy's ServerProcess), by name."""

    def __init__(
        self,
        web_app: web.Application,
        declared: Mapping[str, Any],
        log_directory: Path = LOG_DIRECTORY,
    ) -> None:
        handlers = dict(_handlers(web_app))
        self._apps: dict[str, App] = {}
        for name, process in declared.items():
            if name in handlers:
                handler, state = handlers[name]
                self._apps[name] = App(
                    name=name,
                    title=process.launcher_entry.title or name,
                    icon=_icon(process.launcher_entry.icon_path),
                    timeout_s=float(process.timeout),
                    handler=handler,
                    state=state,
                    web_app=web_app,
                    log=log_directory / f"{name}.log",
                )

    def get(self, name: str) -> App:
        """Raises UnknownApp."""
        if name not in self._apps:
            raise UnknownApp(name)
        return self._apps[name]

    async def describe(self, base_url: str) -> list[dict[str, Any]]:
        """All of them, in the order in which they are declared."""
        return list(await asyncio.gather(*(app.describe(base_url) for app in self._apps.values())))


def _own_group(pid: int) -> int | None:
    """The process group that a process leads; None when it leads none."""
    try:
        return pid if os.getpgid(pid) == pid else None
    except ProcessLookupError:
        return None


def _icon(path: str) -> str:
    """The text of an SVG file; "" when it is none."""
    try:
        text = Path(path).read_text("utf-8")[:_MOST_ICON] if path.endswith(".svg") else ""
    except (OSError, ValueError):
        return ""
    return text[text.find("<svg") :] if "<svg" in text else ""


def _handlers(
    web_app: web.Application,
) -> Iterator[tuple[str, tuple[type[web.RequestHandler], dict[str, Any]]]]:
    """Handlers of jupyter-server-proxy with their state, by name of the app."""
    base_url = web_app.settings["base_url"]
    for rule in _rules(web_app.default_router):
        state = (getattr(rule, "target_kwargs", None) or {}).get("state")
        regex = getattr(getattr(rule, "matcher", None), "regex", None)
        if isinstance(state, dict) and regex is not None:
            path = regex.pattern.removeprefix(base_url.replace("-", r"\-")).removeprefix(base_url)
            yield path.removesuffix("$").removesuffix("/(.*)").strip("/"), (rule.target, state)


def _rules(router: RuleRouter) -> Iterator[Any]:
    for rule in router.rules:
        if isinstance(rule.target, RuleRouter):
            yield from _rules(rule.target)
        else:
            yield rule
