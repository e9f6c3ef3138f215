"""What handlers for admins share."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from hub_ext.errors import Forbidden
from hub_ext.projects.body import read_body
from hub_ext.web.base import ApiHandler

_Model = TypeVar("_Model", bound=BaseModel)


class AdminApiHandler(ApiHandler):
    """For admins; changes are bodies that a model reads."""

    for_admins = "Only an admin may do this."
    """What others are told."""

    def require_admin(self) -> None:
        """Raises Forbidden."""
        if not self.caller.admin:
            raise Forbidden(self.for_admins)

    def read(self, model: type[_Model]) -> _Model:
        """The body of a change. Raises Forbidden, BadValue."""
        self.require_admin()
        return read_body(model, self.body())
