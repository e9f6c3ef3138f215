"""Names of images made from sessions: taken by engines, and never shared by two users."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_ext.images.saved_names import (
    is_registry,
    next_reference,
    repository,
    short_name,
    site_prefix,
)

# https://github.com/distribution/reference, regexp.go: path components of a name
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*")


@given(st.text(min_size=1, max_size=200))
def test_any_user_gets_a_name_that_engines_take(user: str) -> None:
    for part in repository("apportion-0123", user, "course").split("/"):
        assert _COMPONENT.fullmatch(part)
        assert len(part) <= 60


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ann", "ann"), ("a.b", "a-b"), ("ä", "ö"), ("a_b", "a__b"), ("x" * 50, "x" * 51)],
)
def test_no_two_users_share_a_repository(one: str, other: str) -> None:
    assert repository("p", one, "n") != repository("p", other, "n")


def test_nobody_can_be_called_what_another_name_comes_to() -> None:
    theirs = repository("p", "Ann", "n").split("/u-")[1].split("/")[0]
    assert repository("p", theirs, "n") != repository("p", "Ann", "n")


def test_numbers_go_on_from_the_highest_there_ever_was() -> None:
    taken = ["p/u-a/n:1", "p/u-a/n:7", "p/u-b/n:9", "p/u-a/n:x", "p/u-a/n2:8"]
    assert next_reference("p/u-a/n", taken) == "p/u-a/n:8"
    assert next_reference("p/u-c/n", taken) == "p/u-c/n:1"


def test_the_short_name_is_what_people_type() -> None:
    assert short_name("reg.example.org:5000/lab/apportion-1/u-a/course:2") == "course:2"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("registry.example.org/lab", True),
        ("127.0.0.1:5000", True),
        ("registry:5000/a/b", True),
        ("localhost/lab", True),
        ("lab", False),
        ("lab/images", False),
        ("https://registry.example.org", False),
        ("user:password@registry.example.org", False),
        ("registry.example.org/Lab", False),
        ("registry.example.org//x", False),
    ],
)
def test_what_a_registry_is(text: str, good: bool) -> None:
    assert is_registry(text) is good


def test_images_are_named_for_the_registry_they_go_to() -> None:
    assert site_prefix("", "k") == "apportion-k"
    assert site_prefix("registry.example.org/lab", "k") == "registry.example.org/lab/apportion-k"
