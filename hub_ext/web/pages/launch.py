"""The Launch page: the form as the hub's spawn page has it, and the last launches once more."""

from __future__ import annotations

import re
from typing import Any

from hub_ext.db.models import SessionRow
from hub_ext.errors import ApportionError, BadValue, NotFound
from hub_ext.folders.access import Person
from hub_ext.nodes import inventory
from hub_ext.sessions.launch import LaunchRequest, read_launch_request
from hub_ext.sessions.once import check_key, new_key, once_ids
from hub_ext.web.api.sessions import DryRunHandler
from hub_ext.web.launch.fields import Fields, form_field, launch_values
from hub_ext.web.launch.filled import Filled, filled_as_typed
from hub_ext.web.launch.forecast import in_readers_language
from hub_ext.web.launch.form import Refusal, launch_context
from hub_ext.web.launch.recent import (
    filled_from_session,
    free_name,
    own_session,
    recent_launches,
    same_again,
)
from hub_ext.web.pages.page import Page
from hub_ext.web.templating import ROOT

_ID = re.compile(r"[0-9a-f]{32}")
_MAX_BODY = 1024 * 1024


class LaunchPage(Page):
    """The form, and what becomes of it when it is sent."""

    section = "launch"

    async def get(self) -> None:
        """Filled as the last launch, or as the session of the caller that ``from`` names."""
        await inventory.refresh_images(self.site)
        session_id = self.get_query_argument("from", "")
        filled = None
        if session_id:
            row = self.own(session_id)
            filled = filled_from_session(row, self.free_name(row.name))
        self.show_form(new_key(), filled)

    async def post(self) -> None:
        """Launch, and go on to what was launched; a refusal shows the form as it was sent."""
        fields = self.fields()
        key = (fields.get("key") or [""])[-1]
        try:
            request = read_launch_request(launch_values(fields))
            rows = await self.launch(request, self.once(key, request))
        except ApportionError as error:
            self.refuse(error, key, filled_as_typed(fields), fields)
        else:
            self.go_on(rows)

    def fields(self) -> Fields:
        """What the form has sent. Raises BadValue."""
        if len(self.request.body) > _MAX_BODY:
            raise BadValue("The form is larger than 1 MiB.")
        return {
            name: [value.decode(errors="replace") for value in values]
            for name, values in self.request.body_arguments.items()
        }

    def once(self, key: str, request: LaunchRequest) -> list[str]:
        """Ids by which the same form sent twice is one launch. Raises BadValue."""
        return once_ids(self.caller.name, check_key(key), request)

    async def launch(self, request: LaunchRequest, ids: list[str]) -> list[SessionRow]:
        """As the API does it. Raises ApportionError."""
        await inventory.refresh_images(self.site, unless_known=request.image or "")
        return self.parts.submissions.submit(self.submitter(), request, ids=ids)

    def go_on(self, rows: list[SessionRow]) -> None:
        """To the page of the one, or of all."""
        self.redirect(ROOT + (f"sessions/{rows[0].id}" if len(rows) == 1 else ""), status=303)

    def own(self, session_id: str) -> SessionRow:
        """A session of the caller. Raises NotFound, whether it is another's or none."""
        if not _ID.fullmatch(session_id):
            raise NotFound("There is no such session of yours.")
        with self.site.database.transaction() as db:
            return own_session(db, self.caller.name, session_id)

    def free_name(self, name: str) -> str:
        """The name, or one like it, that no live session of the caller has."""
        with self.site.database.transaction() as db:
            return free_name(db, self.caller.name, name)

    def refuse(self, error: ApportionError, key: str, filled: Filled, fields: Fields) -> None:
        """The form once more, with what is wrong at its field."""
        self.set_status(error.status)
        key = new_key() if error.field == "key" else key
        field = form_field(error.field, fields)
        self.show_form(key, filled, Refusal(error.message, field if field != "key" else ""))

    def show_form(self, key: str, filled: Filled | None, refusal: Refusal | None = None) -> None:
        """``filled`` None: as the last launch."""
        caller = self.caller
        person = Person(caller.name, caller.groups, caller.admin)
        with self.site.database.transaction() as db:
            context: dict[str, Any] = launch_context(
                db, self.site, person, filled=filled, refusal=refusal
            )
            context["recent"] = recent_launches(db, self.site, caller.name)
        self.show("launch.html", key=key, said=self.said(), **context)


class LaunchAgainForm(LaunchPage):
    """One of the last launches once more, by one click."""

    async def get(self) -> None:
        """A reload of what is no page."""
        self.redirect(f"{ROOT}launch")

    async def post(self) -> None:
        """A refusal shows the form filled with it."""
        fields = self.fields()
        key = (fields.get("key") or [""])[-1]
        row = self.own((fields.get("from") or [""])[-1])
        try:
            request = same_again(row)
            ids = self.once(key, request)
            renamed = request.model_copy(update={"name": self.free_name(row.name)})
            rows = await self.launch(renamed, ids)
        except ApportionError as error:
            self.refuse(error, key, filled_from_session(row, row.name), {})
        else:
            self.go_on(rows)


class LaunchForecast(DryRunHandler):
    """The live line: the dry run of the API in the language of the page."""

    def reply(self, value: Any, status: int = 200) -> None:
        """The sentences in it are translated."""
        super().reply(in_readers_language(value), status)
