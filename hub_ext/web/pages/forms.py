"""What a form of a page does: a handler of the REST API, with fields for JSON.

A form ends with a redirect, so that neither reload nor the back button repeats it. A refusal
is shown in place by the page's script, and without script on a page with the way back.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tornado import web

from hub_ext.errors import ApportionError
from hub_ext.web.base import ApiHandler
from hub_ext.web.pages.page import Page
from hub_ext.web.sentences import sentence
from hub_ext.web.templating import ROOT


class Form(Page):
    """A change; ``values`` is the JSON, ``next`` where it leads, ``done`` what it says."""

    home = ROOT
    """The page to go to when the form's own is not known."""
    names: tuple[str, ...] = ()
    """Fields that are taken as they are."""
    optional: tuple[str, ...] = ()
    """Fields that are left out when empty."""

    def get(self, *ids: str) -> Any:
        """A reload of what is no page."""
        self.redirect(self.back)

    def body(self) -> Any:
        """The fields, as the JSON would be."""
        return self.values()

    def values(self) -> dict[str, Any]:
        """Raises web.MissingArgumentError (400)."""
        taken = {name: self.get_body_argument(name) for name in self.names}
        more = {name: self.get_body_argument(name, "") for name in self.optional}
        return taken | {name: value for name, value in more.items() if value}

    def next(self, value: dict[str, Any]) -> str:
        """Where the answer leads."""
        return self.back

    def done(self, value: dict[str, Any]) -> list[str]:
        """Sentences for the next page."""
        return []

    def warnings(self, value: dict[str, Any]) -> list[str]:
        """What else there is to know."""
        return [sentence(each) for each in value.get("warnings", [])]

    def reply(self, value: Any, status: int = 200) -> None:
        """Go on to the next page."""
        self.say([*self.done(value), *self.warnings(value)])
        self.redirect(self.next(value), status=303)

    @property
    def back(self) -> str:
        """The page that the form is on, if it is one of ours."""
        try:
            parts = urlsplit(self.request.headers.get("Referer", ""))
        except ValueError:  # no address at all, such as "http://["
            return self.home
        query = f"?{parts.query}" if parts.query else ""
        ours = parts.path.startswith(ROOT) and parts.path != self.request.path
        return parts.path + query if ours else self.home

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """For the script as the API has it; else a page that leads back."""
        error = kwargs.get("exc_info", (None, None))[1]
        if "HX-Request" not in self.request.headers:
            super().write_error(status_code, **kwargs)
            return
        if isinstance(error, ApportionError):
            told = error.as_json()["error"] | {"message": sentence(error.message)}
            ApiHandler.reply(self, {"error": told}, error.status)
            return
        message = "Something went wrong here; the log of the service says more."
        if isinstance(error, web.HTTPError) and status_code < 500:
            message = error.log_message or error.reason or self._reason
        told = {"code": "bad_request", "message": sentence(message)}
        ApiHandler.reply(self, {"error": told}, status_code)

    def show(self, name: str, **context: Any) -> None:
        """A refusal leads back to the form."""
        super().show(name, **({"back": self.back} | context))
