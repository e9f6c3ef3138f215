"""Archives of images, in the layouts of Docker 20.10 and of the containerd store."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub_ext.images.archive import BadArchive, pack, plain_layer, unpack

BASE, OWN = b"base layer" * 200, b"own layer" * 300


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive(files: dict[str, bytes], links: dict[str, str] | None = None) -> Iterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            made.addfile(entry)
    content = buffer.getvalue()
    yield from (content[start : start + 777] for start in range(0, len(content), 777))


def docker_layout(layers: list[str], config: str = "c.json") -> dict[str, bytes]:
    manifest = [{"Config": config, "RepoTags": None, "Layers": layers}]
    return {config: b'{"os": "linux"}', "manifest.json": json.dumps(manifest).encode()}


def test_layers_that_the_engine_has_are_not_kept(tmp_path: Path) -> None:
    files = {"a/layer.tar": BASE, "a/VERSION": b"1.0", "b/layer.tar": OWN}
    files |= docker_layout(["a/layer.tar", "b/layer.tar"])
    saved = unpack(archive(files), tmp_path, {digest(BASE)})
    base, own = saved.layers
    assert base is None
    assert own is not None
    assert own.read_bytes() == OWN
    assert saved.config == {"os": "linux"}
    assert not any(path.read_bytes() == BASE for path in tmp_path.iterdir())


def test_a_layer_that_occurs_twice_is_a_link(tmp_path: Path) -> None:
    files = {"a/layer.tar": BASE} | docker_layout(["a/layer.tar", "b/layer.tar"])
    saved = unpack(archive(files, {"b/layer.tar": "../a/layer.tar"}), tmp_path, ())
    assert saved.layers[0] == saved.layers[1]


def test_the_oci_layout_of_the_containerd_store(tmp_path: Path) -> None:
    packed = gzip.compress(OWN)
    names = [f"blobs/sha256/{digest(blob)[7:]}" for blob in (BASE, packed)]
    files = dict(zip(names, (BASE, packed), strict=True))
    files |= {"oci-layout": b"{}", "index.json": b"{}"}
    files |= docker_layout(names, "blobs/sha256/config")
    saved = unpack(archive(files), tmp_path, ())
    own = saved.layers[1]
    assert own is not None
    assert plain_layer(own, tmp_path / "plain").read_bytes() == OWN


def test_a_layer_packed_with_zstd_is_refused_clearly(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(b"\x28\xb5\x2f\xfd....")
    with pytest.raises(BadArchive, match="zstd"):
        plain_layer(path, tmp_path / "plain")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"manifest.json": b"{}"},
        {"manifest.json": b"[1, 2]"},
        {"manifest.json": b"no"},
        {"manifest.json": b'[{"Config": "c", "Layers": []}]'},
        docker_layout(["missing/layer.tar"]),
    ],
)
def test_an_archive_without_a_usable_manifest_is_refused(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    with pytest.raises(BadArchive):
        unpack(archive(files), tmp_path, ())


def test_an_archive_that_breaks_off_is_refused(tmp_path: Path) -> None:
    whole = b"".join(archive({"a/layer.tar": BASE} | docker_layout(["a/layer.tar"])))
    with pytest.raises(BadArchive):
        unpack([whole[:1500]], tmp_path, ())


def test_what_is_packed_is_unpacked_and_names_its_image(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_bytes(OWN)
    chunks = list(pack("lab/x:1", b'{"os": "linux"}', [("absent.tar", None), ("own.tar", own)]))
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as made:
        content = made.extractfile("manifest.json")
        assert content is not None
        (manifest,) = json.load(content)
    assert manifest["RepoTags"] == ["lab/x:1"]
    assert manifest["Layers"] == ["absent.tar", "own.tar"]
    assert f"{manifest['Config']}".startswith(hashlib.sha256(b'{"os": "linux"}').hexdigest())
