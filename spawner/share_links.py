"""Links by which a session's owner lets others of the hub into it, as JupyterHub's own shares.

A link carries a share code: whoever opens it, logged in, confirms on the hub's page and may from
then on use that server with all its owner's rights. JupyterHub keeps shares for ever and for
every later server of that name; ours end with the session.
"""

from __future__ import annotations

from typing import Any

from jupyterhub import orm
from sqlalchemy import inspect
from traitlets import Bool, Float
from traitlets.config import LoggingConfigurable


class SharedByLink(LoggingConfigurable):
    """The part of a spawner that knows of links to its server."""

    orm_spawner: Any

    share_links = Bool(
        True,
        help="""Whether users may make links by which others of this hub get into their running
        session, with all their rights in it, until the session ends.
        """,
    ).tag(config=True)

    share_link_hours = Float(
        24.0,
        min=1.0,
        max=8760.0,
        help="Hours after which a link to a session lets nobody else in.",
    ).tag(config=True)

    linked = False
    """Whether this session has made a link; kept with the spawner's state."""

    def save_state(self) -> None:
        """Store the state now."""
        raise NotImplementedError

    def share(self) -> tuple[str, float]:
        """A code that lets others into this session until it ends, and how long it can be used
        in seconds."""
        self.linked = True
        self.save_state()  # first: after a crash in between the end of the session revokes it
        lasts_s = round(3600 * self.share_link_hours)
        _, code = orm.ShareCode.new(
            self._database,
            self.orm_spawner,
            scopes=["access:servers"],  # which JupyterHub narrows to this server
            expires_in=lasts_s,
        )
        return str(code), float(lasts_s)

    def unshare(self) -> None:
        """No link leads here any more, and nobody but its owner and admins gets in."""
        for kind in (orm.ShareCode, orm.Share):
            self._database.query(kind).filter_by(spawner_id=self.orm_spawner.id).delete()
        self._database.commit()
        self.linked = False
        self.save_state()

    def unshare_at_end(self) -> None:
        """The session is over. What others than its user have shared, stays."""
        if self.linked:
            self.unshare()

    @property
    def is_shared(self) -> bool:
        """Whether a link is in force, or somebody has accepted one."""
        mine = {"spawner_id": self.orm_spawner.id}
        if self._database.query(orm.Share).filter_by(**mine).first() is not None:
            return True
        codes = self._database.query(orm.ShareCode).filter_by(**mine)
        return any(not code.expired for code in codes)

    @property
    def _database(self) -> Any:
        return inspect(self.orm_spawner).session
