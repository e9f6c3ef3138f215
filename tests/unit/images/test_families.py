"""Images in families: what is offered first."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_ext.images.catalogue import CatalogueImage
from hub_ext.images.families import OTHERS, by_version, families


def image(
    family: str, version: str, *, labelled: bool = True, created: float = 0.0
) -> CatalogueImage:
    return CatalogueImage(
        f"{family}:{version}",
        "sha256:1",
        family,
        family.title(),
        version,
        labelled=labelled,
        created=created,
    )


def offered(*images: CatalogueImage, used: list[str] | None = None) -> list[list[str]]:
    return [[i.reference for i in family.images] for family in families(images, used or [])]


def test_versions_of_a_family_are_one_entry_with_the_newest_first() -> None:
    found = offered(image("torch", "2.9"), image("torch", "2.15"), image("base", "1"))

    assert found == [["base:1"], ["torch:2.15", "torch:2.9"]]


@pytest.mark.parametrize(
    "ordered",
    [
        ["2.9", "2.15"],
        ["2.15-cpu", "2.15"],
        ["sklearn-1.8", "sklearn-1.9", "sklearn-1.10"],
        ["latest", "2026-01"],
    ],
)
def test_versions_are_compared_by_their_numbers(ordered: list[str]) -> None:
    shuffled = ordered[:]
    random.Random(7).shuffle(shuffled)

    assert sorted(shuffled, key=by_version) == ordered


@given(st.text(), st.text())
def test_any_two_versions_can_be_compared(one: str, other: str) -> None:
    assert sorted([one, other], key=by_version)


def test_of_equal_versions_the_younger_image_is_first() -> None:
    old, new = image("a", "1", created=1.0), image("a", "1", created=2.0)

    assert families([old, new])[0].images == (new, old)


def test_what_was_used_last_leads_its_family_and_its_family_the_others() -> None:
    images = [image("base", "1"), *(image("torch", version) for version in ("1", "2", "3"))]

    found = offered(*images, used=["torch:2", "torch:1", "base:1"])

    assert found == [["torch:2", "torch:3", "torch:1"], ["base:1"]]


def test_a_used_image_that_is_gone_changes_nothing() -> None:
    assert offered(image("a", "1"), image("b", "1"), used=["gone:1"]) == [["a:1"], ["b:1"]]


def test_images_without_labels_are_together_and_last() -> None:
    plain = [image(name, "1", labelled=False) for name in ("ubuntu", "alpine")]

    found = families([*plain, image("zeta", "1")])

    assert [family.title for family in found] == ["Zeta", OTHERS]
    assert [i.reference for i in found[1].images] == ["alpine:1", "ubuntu:1"]


def test_a_label_that_says_others_is_not_among_them() -> None:
    found = families([image("others", "1"), image("x", "1", labelled=False)])

    assert [family.labelled for family in found] == [True, False]


def test_an_image_that_only_inherits_its_family_is_one_of_its_own() -> None:
    base = image("base", "1")

    found = families([base, replace(base, reference="u-ada/mine:1", title="Mine", created=1.0)])

    assert [(family.title, len(family.images)) for family in found] == [("Base", 1), ("Mine", 1)]
