"""What ``--simulate-gpus`` understands, and that its devices are the same at every start."""

from __future__ import annotations

import pytest
from traitlets import TraitError

from hub_ext.app import ApportionService
from hub_ext.gpu.simulated import parse_simulated_gpus, simulated_nodes

GIB = 1024


@pytest.mark.parametrize(
    ("text", "memories"),
    [
        ("", []),
        ("  ", []),
        ("2x16GiB", [[16 * GIB] * 2]),
        ("16G", [[16 * GIB]]),
        ("2 x 512MiB, 1x24GB", [[512, 512, 24 * GIB]]),
        ("8x16GiB / 8x16GiB", [[16 * GIB] * 8] * 2),
        ("1x16GiB,1x8GiB/1x4GiB", [[16 * GIB, 8 * GIB], [4 * GIB]]),
    ],
)
def test_text_names_the_memories_of_each_node(text: str, memories: list[list[int]]) -> None:
    assert parse_simulated_gpus(text) == memories


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("two", "'two' does not name simulated GPUs; write COUNTxMEMORY"),
        ("2x16GiB /", "'' does not name simulated GPUs"),
        ("2x16GiB // 2x16GiB", "with a slash between nodes"),
        ("2x16", "COUNTxMEMORY"),
        ("0x16GiB", "above zero"),
        ("65x1GiB", "65 simulated GPUs are too many for a node; 64 at most"),
        ("1x8GiB / 40x1GiB,40x2GiB", "80 simulated GPUs are too many"),
        ("/".join(["1x1GiB"] * 17), "17 simulated nodes are too many; 16 at most"),
    ],
)
def test_bad_text_is_refused_with_the_way_out(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_simulated_gpus(text)
    with pytest.raises(TraitError, match=words):
        ApportionService(simulate_gpus=text)


def test_one_node_keeps_the_name_several_are_numbered() -> None:
    assert list(simulated_nodes("2x8GiB", "lab")) == ["lab"]
    assert list(simulated_nodes("2x8GiB / 1x8GiB", "lab")) == ["lab-1", "lab-2"]
    assert simulated_nodes("", "lab") == {}


def test_devices_are_the_same_at_every_start_and_no_two_alike() -> None:
    def uuids() -> list[str]:
        nodes = simulated_nodes("8x16GiB / 8x16GiB", "lab")
        return [device.uuid for node in nodes.values() for device in node.devices()]

    assert uuids() == uuids()
    assert len(set(uuids())) == 16
    more = simulated_nodes("9x16GiB / 8x16GiB / 1x8GiB", "lab")
    assert [device.uuid for device in more["lab-2"].devices()] == uuids()[8:]


def test_devices_say_that_they_are_simulated() -> None:
    devices = simulated_nodes("1x8GiB / 1x8GiB", "lab")["lab-2"].devices()
    assert [(device.index, device.simulated, device.memory_mib) for device in devices] == [
        (0, True, 8 * GIB)
    ]
