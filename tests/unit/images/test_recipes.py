"""Recipes: what is built, in which order, and when it must be built again."""

from __future__ import annotations

import json
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

OPTIONAL = """
[[image]]
tag = "deep:2.1"
parent = "base:{version}"
directory = "science"
optional = true
arguments = { LIBRARY = "2.1", WHEELS = "cuda" }
[image.labels]
family = "deep"
version = "2.1"
min-fgpu = "0.1"
[image.variants.cpu]
arguments = { WHEELS = "cpu" }
[image.variants.cpu.labels]
min-fgpu = "0"
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
    families = [recipe.labels["org.apportion.family"] for recipe in choose(load_recipes(), [])]

    assert families == ["base", "data-science", "data-science"]


@pytest.mark.parametrize("family", ["pytorch", "tensorflow"])
def test_each_framework_has_two_releases_for_gpus_and_for_the_cpu(family: str) -> None:
    found = [r for r in load_recipes() if r.labels["org.apportion.family"] == family]

    assert all(recipe.optional for recipe in found)
    assert len({recipe.directory for recipe in found}) == 1
    assert [(r.arguments["RELEASE"], r.arguments["WHEELS"]) for r in found] == [
        (release, wheels)
        for release in sorted({r.arguments["RELEASE"] for r in found})
        for wheels in ("cuda", "cpu")
    ]
    for recipe in found:
        wheels = f"{family}-{recipe.arguments['WHEELS']}.txt"
        assert (recipe.directory / wheels).is_file()
        apps = json.loads(recipe.labels["org.apportion.apps"])
        assert [app["name"] for app in apps] == ["terminal", "mlflow", "tensorboard"]


@pytest.fixture
def with_optional(images: Path) -> list[Recipe]:
    (images / "images.toml").write_text(TOML + OPTIONAL)
    return load_recipes(images)


def test_a_variant_differs_from_its_image_in_what_it_says(with_optional: list[Recipe]) -> None:
    plain, variant = with_optional[2:]

    assert (plain.name, variant.name) == ("deep:2.1", "deep:2.1-cpu")
    assert plain.arguments == {"LIBRARY": "2.1", "WHEELS": "cuda"}
    assert variant.arguments == {"LIBRARY": "2.1", "WHEELS": "cpu"}
    assert plain.labels["org.apportion.min-fgpu"] == "0.1"
    assert variant.labels["org.apportion.min-fgpu"] == "0"
    assert variant.labels["org.apportion.version"] == "2.1-cpu"
    assert variant.labels["org.apportion.family"] == "deep"


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([], ["science:1"]),
        (["deep"], ["deep:2.1"]),
        (["deep:2.1-cpu"], ["deep:2.1-cpu"]),
        (["deep:2.1", "science"], ["science:1", "deep:2.1"]),
    ],
)
def test_an_optional_image_is_built_when_it_is_named_and_a_variant_by_its_full_name(
    with_optional: list[Recipe], names: list[str], chosen: list[str]
) -> None:
    assert [recipe.name for recipe in choose(with_optional, names)][1:] == chosen


def test_optional_is_yes_or_no(images: Path) -> None:
    (images / "images.toml").write_text(TOML + OPTIONAL.replace("true", '"no"'))

    with pytest.raises(ImageBuildError, match="optional is true or false, not 'no'"):
        load_recipes(images)


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
