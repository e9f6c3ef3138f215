"""The fake NVML, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import nvml


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def fake(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> nvml.FakeNvml:
    """Two healthy GPUs, as this process sees them."""
    made = nvml.FakeNvml(tmp_path, nvml.gpu(0), nvml.gpu(1))
    nvml.load(monkeypatch, library, made)
    return made
