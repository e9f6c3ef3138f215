"""``apportion image list``: what it says of images, and of those that are not built."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from hub_ext.cli import image, image_list
from hub_ext.cli.client import ServiceAway
from hub_ext.images.catalogue import App, CatalogueImage
from hub_ext.images.failure import ImageBuildError

NEW = CatalogueImage(
    "apportion/pytorch:2.15",
    "sha256:1",
    "pytorch",
    "PyTorch",
    "2.15",
    apps=(App("tensorboard", "TensorBoard", "tensorboard/"),),
    size_bytes=3 * 1024**3,
    labelled=True,
)
OLD = replace(NEW, reference="apportion/pytorch:2.9", version="2.9")
PLAIN = CatalogueImage("ubuntu:24.04", "sha256:2", "ubuntu", "ubuntu", "24.04")


class Hub:
    """A client of a service that knows who sees which image."""

    timeout_s = 60.0

    def get(self, *path: str) -> dict[str, Any]:
        assert path == ("images",)
        return {
            "images": [
                {"reference": NEW.reference, "visibility": "all", "owner": None, "projects": []},
                {
                    "reference": OLD.reference,
                    "visibility": "project",
                    "owner": "ann",
                    "projects": ["ml101", "cv"],
                },
            ]
        }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs ``image list`` on an engine with three images, without a service."""

    def away(url: str) -> Hub:
        raise ServiceAway("Nothing answers.")

    monkeypatch.setattr(image, "connect", lambda: None)
    monkeypatch.setattr(image, "list_images", lambda client: [OLD, NEW, PLAIN])
    monkeypatch.setattr(image_list, "connect", away)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*options: str) -> str:
        result = CliRunner().invoke(image.image, ["list", *options], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_versions_are_below_their_family_the_newest_first(run: Callable[..., str]) -> None:
    header, first, second, *_ = run().splitlines()

    assert header.split() == ["TITLE", "VERSION", "IMAGE", "APPS", "SIZE"]
    assert first.split() == ["PyTorch", "2.15", NEW.reference, "TensorBoard", "3,072", "MiB"]
    assert second.split()[0] == "2.9"


def test_others_are_listed_when_asked_for(run: Callable[..., str]) -> None:
    assert "ubuntu" not in run()
    assert "Others" in run("--all")


def test_who_sees_an_image_is_said_where_the_service_knows(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_list, "connect", lambda url: Hub())

    header, first, second, *_ = run().splitlines()

    assert header.split()[-2:] == ["SEEN", "BY"]
    assert first.rstrip().endswith("all")
    assert second.rstrip().endswith("ml101, cv")


def test_images_that_are_built_by_name_only_are_named(run: Callable[..., str]) -> None:
    printed = run()

    assert "tensorflow:2.21-cpu" in printed
    assert "apportion image build " in printed
    assert "pytorch:2.15," not in printed  # it is there


def test_json_has_what_is_there_and_what_could_be(run: Callable[..., str]) -> None:
    found = {entry["reference"]: entry for entry in json.loads(run("--json"))}

    assert found[NEW.reference]["built"] is True
    assert found[NEW.reference]["seen_by"] is None
    assert found["apportion/tensorflow:2.21"] == {
        "reference": "apportion/tensorflow:2.21",
        "built": False,
        "optional": True,
    }


def test_where_there_are_no_recipes_the_images_are_listed_all_the_same(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise ImageBuildError("Cannot read the images' recipes.")

    monkeypatch.setattr(image_list, "load_recipes", none)

    assert "Built only by name" not in run()
    assert NEW.reference in run()
