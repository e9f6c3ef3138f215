"""Recipes: what is built, in which order, and when it must be built again."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_ext import __version__
from hub_ext.images.failure import ImageBuildError
from hub_ext.images.recipes import Recipe, choose, load_recipes, source_hash

TOML = """
[[image]]
tag = "base:{version}"
directory = "base"
[image.labels]
family = "base"
version = "{version}"

[[image]]
tag = "science:1"
parent = "base:{version}"
directory = "science"
arguments = { LIBRARY = "1" }
[image.labels]
family = "science"
version = "1"
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("base", "science"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "install.sh").write_text("#!/bin/bash\n")
    (tmp_path / "images.toml").write_text(TOML)
    return tmp_path


def science(images: Path) -> Recipe:
    return load_recipes(images)[1]


def test_a_recipe_has_its_labels_and_its_parent(images: Path) -> None:
    recipe = science(images)

    assert recipe.reference == "apportion/science:1"
    assert recipe.name == "science:1"
    assert recipe.parent == f"apportion/base:{__version__}"
    assert recipe.labels["org.apportion.image"] == "1"


def test_the_versions_of_this_repository_are_two_of_one_family() -> None:
    families = [recipe.labels["org.apportion.family"] for recipe in load_recipes()]

    assert families == ["base", "data-science", "data-science"]


@pytest.mark.parametrize(
    "text", ["[[image]]\ntag = 'a:1'\n", "image = 5\n", "not toml", "[[image]]\ntag='{x}'\n"]
)
def test_a_malformed_file_is_named(images: Path, text: str) -> None:
    (images / "images.toml").write_text(text)

    with pytest.raises(ImageBuildError, match=r"images\.toml"):
        load_recipes(images)


def test_a_parent_must_come_first(images: Path) -> None:
    first, second = TOML.split("\n\n", 1)
    (images / "images.toml").write_text(f"{second}\n{first}")

    with pytest.raises(ImageBuildError, match="comes before its parent"):
        load_recipes(images)


@pytest.mark.parametrize("name", ["science", "science:1", "apportion/science:1"])
def test_choosing_an_image_chooses_its_parent_too(images: Path, name: str) -> None:
    chosen = choose(load_recipes(images), [name])

    assert [recipe.labels["org.apportion.family"] for recipe in chosen] == ["base", "science"]


def test_no_name_means_all_and_a_wrong_one_is_refused(images: Path) -> None:
    recipes = load_recipes(images)

    assert choose(recipes, []) == recipes
    with pytest.raises(ImageBuildError, match="no image 'nope'") as refusal:
        choose(recipes, ["nope"])
    assert "science:1" in refusal.value.way_out


def test_the_same_sources_have_the_same_hash(images: Path) -> None:
    assert source_hash(science(images), "p") == source_hash(science(images), "p")


@pytest.mark.parametrize("change", ["file", "new file", "mode", "argument", "script"])
def test_whatever_goes_into_an_image_changes_its_hash(images: Path, change: str) -> None:
    before = source_hash(science(images), "p")

    match change:
        case "file":
            (images / "science/Dockerfile").write_text("FROM other\n")
        case "new file":
            (images / "science/new").write_text("")
        case "mode":
            (images / "science/Dockerfile").chmod(0o755)
        case "argument":
            (images / "images.toml").write_text(TOML.replace('LIBRARY = "1"', 'LIBRARY = "2"'))
        case "script":
            (images / "install.sh").write_text("#!/bin/sh\n")

    assert source_hash(science(images), "p") != before


def test_a_new_parent_makes_a_new_hash(images: Path) -> None:
    assert source_hash(science(images), "p") != source_hash(science(images), "q")


def test_compiled_files_do_not_count(images: Path) -> None:
    before = source_hash(science(images), "p")
    (images / "science/__pycache__").mkdir()
    (images / "science/__pycache__/a.pyc").write_bytes(b"x")

    assert source_hash(science(images), "p") == before
