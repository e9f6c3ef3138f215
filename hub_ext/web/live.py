"""What an open page is told of: topics, of which each page names those that it shows.

A page hears only that a topic has changed and asks for its live parts again, so that nothing
is sent that it might not see. Many changes in a row are one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from hub_ext.db.changed_tables import ChangedTables
from hub_ext.sessions.changes import Change, Changes

SESSIONS = "sessions"
"""The caller's own sessions; ``sessions:*`` everybody's, ``sessions:NAME`` those of a project."""

TOPICS: dict[str, frozenset[str]] = {
    "folders": frozenset({"folders", "folder_shares", "folder_jobs", "uploads", "storage_quotas"}),
    "images": frozenset({"images", "image_requests"}),
    "projects": frozenset({"projects", "project_members"}),
    "nodes": frozenset({"nodes", "devices", "resource_groups"}),
    "presets": frozenset({"presets"}),
    "announcements": frozenset({"announcements"}),
    "audit": frozenset({"audit"}),
}
"""Topics that follow tables."""


PLACE_IN_LINE_S = 1.0
"""So long a page is not told that only reasons, places and estimates have changed: each session
that starts or ends moves all that wait, and in the rush of a class one follows the other."""


class LiveTopics:
    """Tells subscribers which topics have changed. One for the whole service."""

    def __init__(self, changes: Changes, tables: ChangedTables) -> None:
        self._subscribers: set[Subscription] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        changes.listen(self._of_session)
        tables.listen(self._of_tables)

    def subscribe(self, topics: Collection[str], user: str) -> Subscription:
        """Hear of these topics; ``user``: whose own sessions are meant. Close it in the end."""
        self._loop = asyncio.get_running_loop()
        subscription = Subscription(frozenset(topics), user, self._subscribers.discard)
        self._subscribers.add(subscription)
        return subscription

    @property
    def clients(self) -> int:
        """How many pages listen."""
        return len(self._subscribers)

    def _of_session(self, change: Change) -> None:
        everybodys = {f"{SESSIONS}:*", f"{SESSIONS}:{change.project}"}
        later_s = 0.0 if change.of_status else PLACE_IN_LINE_S
        for subscriber in self._subscribers:
            topics = everybodys | ({SESSIONS} if subscriber.user == change.user else set())
            subscriber.note(topics, later_s)

    def _of_tables(self, tables: frozenset[str]) -> None:
        """Called in the thread of a transaction; subscribers live in the event loop's."""
        topics = {topic for topic, shown in TOPICS.items() if tables & shown}
        if topics and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._note_all, topics)

    def _note_all(self, topics: Iterable[str]) -> None:
        for subscriber in self._subscribers:
            subscriber.note(topics)


class Subscription:
    """What one open page has not been told yet."""

    def __init__(
        self, topics: frozenset[str], user: str, discard: Callable[[Subscription], None]
    ) -> None:
        self.user = user
        self._topics = topics
        self._discard = discard
        self._changed: set[str] = set()
        self._news = asyncio.Event()

    def note(self, topics: Iterable[str], later_s: float = 0.0) -> None:
        """These topics have changed. ``later_s``: so long it may wait for what comes with it."""
        wanted = self._topics.intersection(topics)
        if not wanted:
            return
        known = bool(self._changed)
        self._changed |= wanted
        if not later_s:
            self._news.set()
        elif not known:
            asyncio.get_running_loop().call_later(later_s, self._is_due)

    def _is_due(self) -> None:
        """What was to wait may have been told with something else by now."""
        if self._changed:
            self._news.set()

    async def changed(self, gather_s: float) -> list[str]:
        """Wait for news, then ``gather_s`` more for what comes with it; the topics, sorted."""
        await self._news.wait()
        await asyncio.sleep(gather_s)
        self._news.clear()
        changed, self._changed = self._changed, set()
        return sorted(changed)

    def close(self) -> None:
        """The page is gone. Ends ``changed`` too, with what there is."""
        self._discard(self)
        self._news.set()
