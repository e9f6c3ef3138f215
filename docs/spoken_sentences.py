"""The sentences that the code says in English, read from its source: refusals, reasons, notices.

Who raises or stores a sentence does not translate it, since it is read elsewhere by others.
``hub_ext/web/sentences.py`` does, by shapes; those whose text stands in one place are found
here, so that nobody has to list them twice. Those put together from parts are listed in
``hub_ext/web/sentence_shapes.py``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPEAKING = ("folders", "gpu", "images", "nodes", "projects", "scheduling", "sessions", "web")
"""Packages of ``hub_ext`` whose sentences users read. Those for the terminal are not among them."""
SILENT = re.compile(
    r"hub_ext/(app|login|settings|wiring)\.py|hub_ext/scheduling/(check|invariants|simulation/.*"
    r"|placement/.*)(\.py)?|hub_ext/sessions/bookings\.py|hub_ext/gpu/simulated\.py"
    r"|hub_ext/web/api/(health|live|openapi.*|spawner)\.py|hub_ext/images/(build|recipes|failure|command|debootstrap"
    r"|installation|pull|labextension|mirror.*)\.py|hub_ext/web/sentence_shapes\.py"
)
"""Files that speak to programs or to the terminal all the same."""

_TAKEN: dict[str, tuple[int, ...]] = {
    "BadValue": (0,),
    "Conflict": (0,),
    "EngineAway": (0,),
    "Ending": (2,),
    "Forbidden": (0,),
    "HTTPError": (1,),
    "NotFound": (0,),
    "Notice": (1,),
    "OverLimit": (0,),
    "Reason": (1, 2),
    "Why": (0, 2),
    "WorkFailed": (0,),
}
"""What takes sentences, and as which of its arguments."""
_MOST_VARIANTS = 8
_TRANSLATING = {"_", "gettext", "ngettext", "pgettext"}
_LOGS = {"log", "logger"}
_FOR_DEVELOPERS = {"description", "help"}
_OPEN = re.compile(r": %\(\w+\)s$")
"""The end of a sentence that quotes another."""
_NEXT = re.compile(r"(?<=[.!?]) (?=[A-Z%])")
_LEADING = re.compile(r"%\((?:sentence|message|why|no_room)\d*\)s (?=[A-Z%])")
_PLACE = re.compile(r"%\(\w+\)s")


def spoken() -> dict[str, str]:
    """Shapes of sentences, each with the file that says it."""
    found: dict[str, str] = {}
    for path in sources():
        for shape in sorted(set(_of_module(ast.parse(path.read_text())))):
            found.setdefault(shape, str(path.relative_to(ROOT)))
    return found


def sources() -> list[Path]:
    """The files that are read."""
    package = ROOT / "hub_ext"
    paths = [path for name in SPEAKING for path in (package / name).rglob("*.py")]
    paths += package.glob("*.py")
    return sorted(path for path in paths if not SILENT.fullmatch(str(path.relative_to(ROOT))))


def _of_module(tree: ast.Module) -> Iterator[str]:
    words = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for text, taken in _texts(tree):
        for variant in _variants(text, words):
            yield from _sentences(variant, taken)


def _texts(node: ast.AST, taken: bool = False) -> Iterator[tuple[ast.expr, bool]]:
    """Expressions that are text, and whether something takes them as a sentence."""
    if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
        yield node, taken
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Call):
        yield from _of_call(node)
        return
    for child in ast.iter_child_nodes(node):
        yield from _texts(child, taken and isinstance(node, ast.IfExp))


def _of_call(call: ast.Call) -> Iterator[tuple[ast.expr, bool]]:
    name = _last_name(call.func)
    if name in _TRANSLATING or _last_name(getattr(call.func, "value", None)) in _LOGS:
        return
    places = _TAKEN.get(name, ())
    yield from _texts(call.func)
    for place, argument in enumerate(call.args):
        yield from _texts(argument, place in places)
    for word in call.keywords:
        if word.arg not in _FOR_DEVELOPERS:
            yield from _texts(word.value, bool(places) and word.arg in {"message", "help"})


def _sentences(text: str, taken: bool) -> Iterator[str]:
    for piece in _NEXT.split(text):
        shape = _LEADING.sub("", piece).strip()
        words = _PLACE.sub("", shape)
        said = re.search(r"[a-z]{2} |[a-z]{2}\.$", words) and re.match(r"[A-Z%']", shape)
        whole = re.search(r"[.!?]$", shape) or (taken and _OPEN.search(shape))
        if " " in shape and said and whole:
            yield shape


def _variants(text: ast.expr, words: Mapping[str, ast.expr]) -> Iterator[str]:
    """What an expression may say, with named places; nothing of what is no plain text.

    ``words``: what the module's variables are set to. What depends on a number of things is
    either all singular or all plural.
    """
    names: dict[str, str] = {}
    parts = list(_parts(text, names, words))
    for plural in (0, 1):
        here = [(part[plural],) if isinstance(part, _Counted) else part for part in parts]
        for variant in list(product(*here))[:_MOST_VARIANTS]:
            yield "".join(variant)


class _Counted(tuple[str, str]):
    """What is said of one thing, and of several."""


def _parts(
    text: ast.expr, names: dict[str, str], words: Mapping[str, ast.expr]
) -> Iterator[Sequence[str]]:
    """The pieces of a text one after the other, each with what it may be."""
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        yield [text.value.replace("%", "%%")]
    elif isinstance(text, ast.JoinedStr):
        for value in text.values:
            yield from _parts(value, names, words)
    elif isinstance(text, ast.BinOp) and isinstance(text.op, ast.Add):
        yield from _parts(text.left, names, words)
        yield from _parts(text.right, names, words)
    elif isinstance(text, ast.FormattedValue):
        value = text.value
        set_to = words.get(value.id, value) if isinstance(value, ast.Name) else value
        yield _choices(set_to) or [_place(value, names)]
    elif isinstance(text, ast.IfExp):
        yield _choices(text)


def _choices(value: ast.expr) -> Sequence[str]:
    """``'s' * (n != 1)``, ``'a' if x else 'b'`` and ``_verb(all, 'keeps', 'keep')``."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
        texts, test = (value.left, ast.Constant("")), value.right
    elif isinstance(value, ast.IfExp):
        texts, test = (value.body, value.orelse), value.test
    elif isinstance(value, ast.Call) and len(value.args) == 3:
        texts, test = (value.args[1], value.args[2]), ast.Name("one")
    else:
        return []
    said = [each.value for each in texts if isinstance(each, ast.Constant)]
    said = [text for text in said if isinstance(text, str)]
    if len(said) != 2:
        return []
    if isinstance(test, ast.Compare):
        return _Counted(said if isinstance(test.ops[0], ast.Eq) else reversed(said))
    return _Counted(said) if isinstance(test, ast.Name) and test.id == "one" else said


def _place(value: ast.expr, names: dict[str, str]) -> str:
    """A place that is named as the code names what goes there; the same name for the same."""
    name = re.sub(r"\W|^_+|_+$", "", _last_name(value)).lower() or "part"
    name = "value" if name.startswith("number") else name
    source = ast.dump(value)
    number = 2
    unique = name
    while names.setdefault(unique, source) != source:
        unique = f"{name}{number}"
        number += 1
    return f"%({unique})s"


def _last_name(value: ast.AST | None) -> str:
    if isinstance(value, ast.Name):
        return value.id
    if isinstance(value, ast.Attribute):
        return value.attr
    if isinstance(value, ast.Subscript):
        return _last_name(value.value)
    if isinstance(value, ast.Call):
        method = isinstance(value.func, ast.Attribute) and value.func.attr
        if method == "join" or not value.args:
            return _last_name(value.args[0]) if value.args else _last_name(value.func)
        return _last_name(value.args[-1]) or _last_name(value.func)
    if isinstance(value, ast.BinOp):
        return _last_name(value.left)
    return ""
