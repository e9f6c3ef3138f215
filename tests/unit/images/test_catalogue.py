"""Labels of images come from strangers: what they say is used, what is broken is ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_ext.images.catalogue import (
    App,
    images_of_entry,
    list_images,
    parse_image,
    split_reference,
)

LABELS = {
    "org.apportion.image": "1",
    "org.apportion.family": "data-science",
    "org.apportion.title": "Data science",
    "org.apportion.version": "sklearn-1.9",
    "org.apportion.description": "scikit-learn 1.9",
    "org.apportion.framework": "scikit-learn 1.9.1",
    "org.apportion.apps": '[{"name": "mlflow", "title": "MLflow UI", "path": "mlflow/"}]',
    "org.apportion.min-cpu": "500",
    "org.apportion.min-memory": "1024",
    "org.apportion.min-fgpu": "0.5",
}


class FakeClient:
    """An engine's image list, as docker-py's low-level client gives it."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.api = self
        self._entries = list(entries)

    def images(self) -> list[dict[str, Any]]:
        return self._entries


def entry(*tags: str, **labels: str) -> dict[str, Any]:
    return {"Id": "sha256:1", "RepoTags": list(tags), "Labels": labels or None, "Size": 5}


def test_every_label_reaches_the_catalogue() -> None:
    image = parse_image("apportion/data-science:sklearn-1.9", LABELS, size_bytes=7)

    assert (image.family, image.title, image.version) == (
        "data-science",
        "Data science",
        "sklearn-1.9",
    )
    assert image.apps == (App("mlflow", "MLflow UI", "mlflow/"),)
    assert (image.min_cpu_milli, image.min_memory_mib, image.min_fgpu) == (500, 1024, 0.5)
    assert (image.framework, image.size_bytes, image.labelled) == ("scikit-learn 1.9.1", 7, True)


def test_an_unlabelled_image_is_offered_under_its_own_name() -> None:
    (image,) = images_of_entry(entry("jupyter/scipy-notebook:2026-01"))

    assert not image.labelled
    assert (image.family, image.title, image.version) == (
        "jupyter/scipy-notebook",
        "jupyter/scipy-notebook",
        "2026-01",
    )


def test_an_image_with_two_tags_is_listed_twice_and_one_without_tags_not_at_all() -> None:
    client = FakeClient(entry("a:1", "a:2"), entry(), entry("<none>:<none>"))

    assert [image.reference for image in list_images(client)] == ["a:1", "a:2"]


def test_steps_of_a_build_are_hidden() -> None:
    assert images_of_entry(entry("apportion/os:1", **{"org.apportion.hidden": "1"})) == []


def test_labelled_images_come_first() -> None:
    client = FakeClient(entry("a:1"), entry("z:1", **LABELS))

    assert [image.reference for image in list_images(client)] == ["z:1", "a:1"]


@pytest.mark.parametrize(
    "path",
    ["/etc", "../admin", "a/../../b", "https://elsewhere/", "a b", "javascript:x", "a//b", "é/"],
)
def test_an_app_cannot_point_outside_the_session(path: str) -> None:
    labels = {"org.apportion.apps": json.dumps([{"name": "mlflow", "path": path}])}

    assert parse_image("a:1", labels).apps == ()


def test_an_app_may_be_a_page_of_jupyterlab_itself() -> None:
    apps = '[{"name": "terminal", "title": "Terminal", "path": "lab?open=terminal"}]'

    found = parse_image("a:1", {"org.apportion.apps": apps}).apps

    assert found == (App("terminal", "Terminal", "lab?open=terminal"),)


def test_an_app_without_path_or_title_is_found_under_its_name() -> None:
    labels = {"org.apportion.apps": '[{"name": "tb"}, 5, {"title": "nameless"}]'}

    assert parse_image("a:1", labels).apps == (App("tb", "tb", "tb/"),)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("ubuntu", ("ubuntu", "latest")),
        ("ubuntu:24.04", ("ubuntu", "24.04")),
        ("reg.example:5000/a/b", ("reg.example:5000/a/b", "latest")),
        ("reg.example:5000/a/b:1", ("reg.example:5000/a/b", "1")),
        ("a/b@sha256:ff", ("a/b", "sha256:ff")),
    ],
)
def test_references_split_into_repository_and_tag(reference: str, parts: tuple[str, str]) -> None:
    assert split_reference(reference) == parts


_junk = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(), st.just("[" * 100_000), st.just("1e999")
)


@given(st.dictionaries(st.sampled_from(sorted(LABELS)), _junk), st.text())
def test_no_label_can_break_the_catalogue(labels: dict[str, Any], reference: str) -> None:
    image = parse_image(reference, labels)

    assert image.min_cpu_milli >= 0
    assert 0 <= image.min_fgpu < float("inf")


@given(st.dictionaries(st.sampled_from(["Id", "RepoTags", "Labels", "Size", "Created"]), _junk))
def test_no_entry_of_the_engine_can_break_the_catalogue(found: dict[str, Any]) -> None:
    if not isinstance(found.get("RepoTags"), list):
        found["RepoTags"] = ["a:1"]

    assert all(image.size_bytes >= 0 for image in images_of_entry(found))
