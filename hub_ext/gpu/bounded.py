"""Calls of a library that may hang: each is waited for a limited time, on one thread.

A driver in trouble can keep a call for minutes. Whoever asks meanwhile is told so at once, and no
further thread is spent on it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class DoesNotAnswer(Exception):
    """A call has not returned in time; ``since``: Unix s when it was made."""

    def __init__(self, since: float) -> None:
        super().__init__(f"no answer since {since:.0f}")
        self.since = since


class BoundedCalls:
    """One daemon thread that makes the calls, one at a time; safe to use from any thread."""

    def __init__(self, name: str, limit_s: float) -> None:
        self._name = name
        self._limit_s = limit_s
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()
        self._late: tuple[Future[Any], float] | None = None

    def __call__(self, work: Callable[[], _T]) -> _T:
        """What ``work`` returns or raises. Raises DoesNotAnswer after the limit, and at once
        while an earlier call is still on its way."""
        with self._turn:
            if self._late is not None:
                if not self._late[0].done():
                    raise DoesNotAnswer(self._late[1])
                self._late = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            answer: Future[_T] = Future()
            asked_at = time.time()
            self._work.put((answer, work))
            try:
                return answer.result(self._limit_s)
            except TimeoutError:
                if answer.done():  # just now, or ``work`` itself raised it
                    return answer.result()
                self._late = (answer, asked_at)
                raise DoesNotAnswer(asked_at) from None

    def _run(self) -> None:
        while True:
            answer, work = self._work.get()
            try:
                answer.set_result(work())
            except BaseException as error:
                answer.set_exception(error)
