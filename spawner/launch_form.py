"""Launch options on their way in: the hub's spawn form (whose HTML is the service's) and REST."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from jupyterhub.spawner import SpawnException

from hub_ext.errors import BadValue
from hub_ext.web.launch.fields import form_field, launch_values

from .failures import refusal
from .page_language import language_of
from .service_client import Account, RequestRefused, ServiceError

FORM_UNAVAILABLE = (
    '<div class="alert alert-warning" role="alert">The queue service is restarting. '
    '<a href="">Reload this page</a> in a moment.</div>'
)

#: A launch request is a few hundred bytes; what is much larger is no launch request.
MAX_OPTIONS_BYTES = 64 * 1024


@dataclass(frozen=True)
class RefusedForm:
    """A form that comes back as it was sent, with what is wrong at its field."""

    server_name: str
    fields: dict[str, list[str]]
    message: str
    field: str


#: By user: the hub makes the page of a refusal anew, and tells it nothing of what was sent.
_refused: dict[str, RefusedForm] = {}


async def fetch_launch_form(spawner: Any) -> str:
    """The form's fields for this user and server; a note to reload while the service is away."""
    refused = _refused.pop(spawner.user.name, None)
    # after a refusal the hub asks the user's default server, whichever it was about
    server_name = refused.server_name if refused is not None else spawner.name
    language = language_of(getattr(spawner, "handler", None))
    try:
        return await spawner.service.launch_form(
            Account.of(spawner.user),
            server_name,
            language=language,
            refused=asdict(refused) if refused is not None else None,
        )
    except ServiceError as e:
        spawner.log.warning("No launch form for %s: %s", spawner._log_name, e)
        return FORM_UNAVAILABLE


async def launch_options_from_form(
    form_data: dict[str, list[str]], spawner: Any = None
) -> dict[str, Any]:
    """Launch options from the form's fields; refused ones come back to the form at once."""
    fields = {
        name: [value for value in values if isinstance(value, str)]
        for name, values in form_data.items()
    }
    try:
        options = launch_values(fields)
        if spawner is not None:
            await spawner.service.dry_run(Account.of(spawner.user), options)
    except BadValue as e:
        _remember(spawner, fields, e.message, e.field)
        raise SpawnException(e.message, reason="bad-options", status_code=400) from e
    except RequestRefused as e:
        _remember(spawner, fields, e.message, e.field)
        raise refusal(e) from e
    except ServiceError as e:
        # the queue takes the request later; it is checked again then
        spawner.log.warning("Launch options of %s not checked: %s", spawner._log_name, e)
    return options


def _remember(spawner: Any, fields: dict[str, list[str]], message: str, field: str | None) -> None:
    if spawner is not None:
        named = form_field(field, fields)
        _refused[spawner.user.name] = RefusedForm(spawner.name, fields, message, named)


def accept_launch_options(spawner: Any, options: Any) -> None:
    """Refuse what cannot be launch options; their values are judged by the service.

    The hub stores ``user_options`` of its REST API unseen, so this runs for every spawn.
    """
    if not isinstance(options, dict) or len(json.dumps(options, default=str)) > MAX_OPTIONS_BYTES:
        raise SpawnException("The launch options are not acceptable.", reason="bad-options")
    spawner.launch_options = dict(options)
