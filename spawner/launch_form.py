"""Launch options on their way in: the hub's spawn form (whose HTML is the service's) and REST."""

from __future__ import annotations

import json
from typing import Any

from jupyterhub.spawner import SpawnException

from .failures import refusal
from .service_client import Account, RequestRefused, ServiceError

FORM_UNAVAILABLE = (
    '<div class="alert alert-warning" role="alert">The queue service is restarting. '
    '<a href="">Reload this page</a> in a moment.</div>'
)

#: Value of the preset field that means "my own numbers below".
OWN_NUMBERS = "custom"

MIB_PER_GIB = 1024
SECONDS_PER_HOUR = 3600
SHORTEST_LIFETIME_S = 60

_FLAGS = ("preemptible", "requeue")

#: A launch request is a few hundred bytes; what is much larger is no launch request.
MAX_OPTIONS_BYTES = 64 * 1024


async def fetch_launch_form(spawner: Any) -> str:
    """The form's fields for this user and server; a note to reload while the service is away."""
    try:
        return str(await spawner.service.launch_form(Account.of(spawner.user), spawner.name))
    except ServiceError as e:
        spawner.log.warning("No launch form for %s: %s", spawner._log_name, e)
        return FORM_UNAVAILABLE


async def launch_options_from_form(
    form_data: dict[str, list[str]], spawner: Any = None
) -> dict[str, Any]:
    """Launch options from the form's fields; refused ones come back to the form at once."""
    options = parse_launch_form(form_data)
    if spawner is not None:
        try:
            await spawner.service.dry_run(Account.of(spawner.user), options)
        except RequestRefused as e:
            raise refusal(e) from e
        except ServiceError as e:
            # the queue takes the request later; it is checked again then
            spawner.log.warning("Launch options of %s not checked: %s", spawner._log_name, e)
    return options


def parse_launch_form(form_data: dict[str, list[str]]) -> dict[str, Any]:
    """The fields as launch options; a field left empty is left out.

    Raises SpawnException naming the field that is no number, or no yes or no.
    """
    fields = {name: _last(values) for name, values in form_data.items()}
    options: dict[str, Any] = {}
    for name in ("image", "name", "project"):
        if fields.get(name):
            options[name] = fields[name]
    if fields.get("image_by_name"):
        options["image"] = fields["image_by_name"]
    preset = fields.get("preset", "")
    if preset and preset != OWN_NUMBERS:
        options["preset"] = preset
    else:
        options.update(_own_numbers(fields))
    folders = _folders(form_data, fields)
    if folders:
        options["folders"] = folders
    if fields.get("new_folder"):
        options["new_folders"] = [fields["new_folder"]]
    for name in ("count", "priority"):
        if fields.get(name):
            options[name] = _whole(fields[name], name)
    if fields.get("lifetime_h"):
        options["lifetime_s"] = _seconds(fields["lifetime_h"], "lifetime_h")
    options.update(_reclaim(fields))
    return options


def _reclaim(fields: dict[str, str]) -> dict[str, Any]:
    """What is said of being reclaimed; what becomes of it then is of no use without."""
    flags = {name: _flag(fields[name], name) for name in _FLAGS if fields.get(name)}
    return flags if flags.get("preemptible") else {}


def _own_numbers(fields: dict[str, str]) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    if fields.get("fgpu"):
        # as typed: the service refuses what is off the step, never a rounded neighbour
        _number(fields["fgpu"], "fgpu")
        numbers["fgpu"] = fields["fgpu"]
    if fields.get("cpu"):
        numbers["cpu"] = _number(fields["cpu"], "cpu")
    if fields.get("memory_gib"):
        gib = _number(fields["memory_gib"], "memory_gib")
        numbers["memory_mib"] = round(gib * MIB_PER_GIB)
    if fields.get("memory_mib"):
        numbers["memory_mib"] = _whole(fields["memory_mib"], "memory_mib")
    return numbers


def _folders(form_data: dict[str, list[str]], fields: dict[str, str]) -> list[dict[str, str]]:
    """The ticked ones, by id; how and where is in fields of their own."""
    chosen = []
    for folder_id in form_data.get("folder", []):
        mode = "ro" if fields.get(f"mode:{folder_id}", "") == "ro" else "rw"
        places = {name: fields.get(f"{name}:{folder_id}", "") for name in ("target", "subpath")}
        given = {name: place for name, place in places.items() if place}
        chosen.append({"id": folder_id, "mode": mode, **given})
    return chosen


def _number(text: str, field: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e9:
        raise SpawnException(f"{field}: {text!r} is not a number.", reason="bad-options")
    return value


def _whole(text: str, field: str) -> int:
    value = _number(text, field)
    if not value.is_integer():
        raise SpawnException(f"{field}: {text!r} is not a whole number.", reason="bad-options")
    return int(value)


def _seconds(text: str, field: str) -> int:
    """Of a number of hours."""
    seconds = round(_number(text, field) * SECONDS_PER_HOUR)
    if seconds < SHORTEST_LIFETIME_S:
        message = f"{field}: {text!r} hours are less than a minute; leave it empty for no end."
        raise SpawnException(message, reason="bad-options")
    return seconds


def _flag(text: str, field: str) -> bool:
    if text in {"1", "on", "true"}:
        return True
    if text in {"0", "off", "false"}:
        return False
    raise SpawnException(f"{field}: {text!r} is neither 1 nor 0.", reason="bad-options")


def _last(values: Any) -> str:
    last = values[-1] if values else ""
    return last.strip() if isinstance(last, str) else ""


def accept_launch_options(spawner: Any, options: Any) -> None:
    """Refuse what cannot be launch options; their values are judged by the service.

    The hub stores ``user_options`` of its REST API unseen, so this runs for every spawn.
    """
    if not isinstance(options, dict) or len(json.dumps(options, default=str)) > MAX_OPTIONS_BYTES:
        raise SpawnException("The launch options are not acceptable.", reason="bad-options")
    spawner.launch_options = dict(options)
