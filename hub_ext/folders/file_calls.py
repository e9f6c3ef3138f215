"""Calls to the file system that a dead share may never answer, each with a bounded wait.

A thread that hangs in the kernel cannot be ended, so there are few of them; when none of
their calls has come back for a while, further callers are refused at once instead of
waiting in line. The threads are daemons: a hang does not keep the service from stopping.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from queue import SimpleQueue
from typing import Any, TypeVar

from hub_ext.folders.storage_errors import StorageError

Result = TypeVar("Result")


class FileCalls:
    """A small pool. ``patience_s``: how long the storage may be silent."""

    def __init__(self, threads: int = 8, patience_s: float = 20.0) -> None:
        self.patience_s = patience_s
        self._most = threads
        self._threads = 0
        self._idle = 0
        self._lock = threading.Lock()
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._running: dict[int, float] = {}
        self._answered_at = 0.0

    async def run(
        self, call: Callable[[], Result], abandoned: Callable[[Result], None] | None = None
    ) -> Result:
        """The call's result. Raises what it raises, StorageError when there is no answer.

        ``abandoned`` gets a result that came when nobody waited for it any more.
        """
        future = self._submit(call)
        waited = asyncio.wrap_future(future)
        deadline = time.monotonic() + 2 * self.patience_s
        try:
            while not waited.done():
                limit = min(self._patience_left(), deadline - time.monotonic())
                if limit <= 0:
                    raise self._no_answer()
                await asyncio.wait({waited}, timeout=limit)
        except BaseException:
            _give_up(future, abandoned)
            raise
        return waited.result()

    def run_blocking(self, call: Callable[[], Result]) -> Result:
        """The same for callers that are not on an event loop; they wait as long."""
        future = self._submit(call)
        deadline = time.monotonic() + 2 * self.patience_s
        while True:
            limit = min(self._patience_left(), deadline - time.monotonic())
            if limit <= 0:
                future.cancel()
                raise self._no_answer()
            try:
                return future.result(timeout=limit)
            except NotYet:
                if future.done():
                    raise

    def _submit(self, call: Callable[[], Result]) -> Future[Result]:
        if self._patience_left() <= 0:
            raise self._no_answer()
        future: Future[Result] = Future()
        self._waiting.put((future, call))
        with self._lock:
            if self._idle < self._waiting.qsize() and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._work, name="files", daemon=True).start()
        return future

    def _work(self) -> None:
        me = threading.get_ident()
        while True:
            with self._lock:
                self._idle += 1
            future, call = self._waiting.get()
            with self._lock:
                self._idle -= 1
                self._running[me] = time.monotonic()
            if future.set_running_or_notify_cancel():
                _answer(future, call)
            with self._lock:
                del self._running[me]
                self._answered_at = time.monotonic()
            # A kept reference would keep the result alive until the next call.
            del future, call

    def _silent_s(self) -> float:
        """Seconds since the storage last answered, while it was asked something."""
        with self._lock:
            if not self._running:
                return 0.0
            return time.monotonic() - max(min(self._running.values()), self._answered_at)

    def _patience_left(self) -> float:
        return self.patience_s - self._silent_s()

    def _no_answer(self) -> StorageError:
        silent = max(self._silent_s(), self.patience_s)
        return StorageError(
            f"The folder storage has not answered for {silent:.0f} s (is its server down?)."
            " Ask your admin; nothing is lost."
        )


def _answer(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:  # the caller's to handle, whatever it is
        future.set_exception(error)
    else:
        future.set_result(result)


def _give_up(future: Future[Result], abandoned: Callable[[Result], None] | None) -> None:
    """Nobody waits any more: not started, it never runs; else its result is put away."""
    if future.cancel() or abandoned is None:
        return

    def put_away(ended: Future[Result]) -> None:
        if ended.exception() is None:
            abandoned(ended.result())

    future.add_done_callback(put_away)
