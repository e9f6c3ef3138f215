"""A list of members as text, one ``user[,role]`` a line: what a registrar's table exports. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass

from hub_ext.errors import BadValue
from hub_ext.projects.body import LONGEST_USER, is_user_name
from hub_ext.projects.membership import Role

MAX_LINES = 5000
_SHOWN = 10
_HEADERS = {"user", "username", "name"}
_NO_FORMULA = re.compile(r"^'(?=[=+@-])")
"""What our own lists put before a name that a spreadsheet would take for a formula."""
_ROLES = {Role.MEMBER.value, Role.INSTRUCTOR.value}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the list, counted from 1; ``problem`` "": it is good."""

    number: int
    user: str
    role: Role
    problem: str = ""


def read_member_list(text: str) -> list[Line]:
    """Every line that names somebody. Empty lines, # lines and a header are passed over.

    Columns are separated by commas, semicolons or tabs. Raises BadValue for no list at all.
    """
    lines: list[Line] = []
    first_at: dict[str, int] = {}
    for number, cells in _cells(text):
        if not lines and cells[0].lower() in _HEADERS:
            continue
        line = _read_line(number, cells)
        if not line.problem and line.user in first_at:
            seen = f"{line.user} is already in line {first_at[line.user]}."
            line = Line(number, line.user, line.role, seen)
        first_at.setdefault(line.user, number)
        lines.append(line)
    if not lines:
        raise BadValue("The list is empty: write one user[,role] a line.", field="csv")
    if len(lines) > MAX_LINES:
        raise BadValue(
            f"The list has {len(lines)} lines; {MAX_LINES} at a time are allowed.", field="csv"
        )
    return lines


def doubts(users: Iterable[str]) -> list[str]:
    """Sentences about names that may be mistakes."""
    capital = [user for user in users if user != user.lower()]
    if not capital:
        return []
    return [
        "The hub writes names in lower case as a rule; these would then never match:"
        f" {', '.join(capital[:_SHOWN])}{' ...' if len(capital) > _SHOWN else ''}."
    ]


def _cells(text: str) -> list[tuple[int, list[str]]]:
    """The cells of each line that is not empty, with its number."""
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        separator = next((sign for sign in ",;\t" if sign in line), ",")
        try:
            cells = next(csv.reader([line], delimiter=separator))
        except csv.Error as error:
            raise BadValue(f"Line {number} cannot be read: {error}.", field="csv") from None
        found.append((number, [_NO_FORMULA.sub("", cell.strip()) for cell in cells]))
    return found


def _read_line(number: int, cells: list[str]) -> Line:
    user, *rest = cells
    role = rest[0].lower() if rest and rest[0] else Role.MEMBER.value
    problem = ""
    if not is_user_name(user):
        problem = f"{user[:80]!r} is no name of a user."
    elif role not in _ROLES:
        problem = f"{rest[0][:80]!r} is no role: use member or instructor."
    elif any(rest[1:]):
        problem = f"There are {len(cells)} columns; two are read: user and role."
    return Line(number, user[:LONGEST_USER], Role(role) if role in _ROLES else Role.MEMBER, problem)
