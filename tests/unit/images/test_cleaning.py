"""A session's layer keeps every byte of what stays, and nothing of what must go."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_ext.images.archive import BadArchive
from hub_ext.images.cleaning import CleanLayer, clean_layer
from hub_ext.images.kept_paths import is_kept
from hub_ext.images.leaks import LeakFound, Leaks, secret_values

SECRET = b"token-0123456789"


class Layer:
    """A tar file in the making."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def file(self, name: str, content: bytes = b"", **pax: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.uid, entry.mode, entry.mtime = len(content), 1000, 0o4755, 1.5
        entry.pax_headers = pax
        self._archive.addfile(entry, io.BytesIO(content))

    def directory(self, name: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type = tarfile.DIRTYPE
        self._archive.addfile(entry)

    def link(self, name: str, target: str, kind: bytes = tarfile.LNKTYPE) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        self._archive.addfile(entry)

    def close(self) -> None:
        self._archive.close()

    def clean(self, *, secrets: dict[bytes, str] | None = None) -> tuple[CleanLayer, Path]:
        self.close()
        target = self.path.with_suffix(".clean")
        return clean_layer(self.path, target, Leaks(secrets or {SECRET: "TOKEN"})), target


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    return Layer(tmp_path / "layer.tar")


def entries(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return {entry.name: entry for entry in archive}


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            entry.name: content.read()
            for entry in archive
            if (content := archive.extractfile(entry)) is not None
        }


def test_what_is_of_the_session_alone_is_gone(layer: Layer) -> None:
    gone = [
        "tmp/x",
        "run/sudo/ts/work",
        "var/tmp/y",
        "home/work/notes",
        "root/.bash_history",
        "root/.python_history",
        "root/.cache/pip/http/a",
        "root/.local/share/jupyter/runtime/kernel-1.json",
        "etc/hostname",
        "etc/ld.so.preload",
        "usr/local/apportion/libvgpu.so",
        "etc/hosts",
        "etc/resolv.conf",
        "var/cache/apt/archives/sudo.deb",
        "var/lib/apt/lists/deb.debian.org_InRelease",
        "var/log/apt/history.log",
        ".dockerenv",
        "dev/console",
        "usr/sbin/docker-init",
    ]
    for name in gone:
        layer.file(name, b"x")
    layer.file("usr/bin/kept", b"x")
    result, target = layer.clean()
    assert list(entries(target)) == ["usr/bin/kept"]
    assert result.entries == 1


def test_directories_of_logs_stay_with_their_owners(layer: Layer) -> None:
    layer.directory("var/log/nginx")
    layer.file("var/log/nginx/access.log", b"x")
    _, target = layer.clean()
    assert list(entries(target)) == ["var/log/nginx"]


def test_kept_entries_are_the_same_bytes(layer: Layer, tmp_path: Path) -> None:
    layer.directory("opt/a")
    layer.file("opt/a/cap", b"elf", **{"SCHILY.xattr.security.capability": "\x01\x00\udcff"})
    layer.file("opt/a/" + "long" * 60, b"y")
    layer.file("opt/a/\udce4", b"latin")
    layer.file("opt/.wh.removed")
    layer.file("opt/a/.wh..wh..opq")
    layer.link("opt/a/soft", "/nowhere", tarfile.SYMTYPE)
    layer.link("opt/a/hard", "opt/a/cap")
    layer._archive.close()
    whole = layer.path.read_bytes()
    result, target = layer.clean()
    kept = target.read_bytes()
    assert kept.rstrip(b"\0") == whole.rstrip(b"\0")
    assert result.digest == f"sha256:{hashlib.sha256(kept).hexdigest()}"
    assert result.size_bytes == len(kept)


def test_a_hard_link_to_a_file_that_goes_keeps_its_content(layer: Layer) -> None:
    layer.file("tmp/built", b"binary")
    layer.link("usr/bin/tool", "tmp/built")
    layer.link("usr/bin/tool-2", "tmp/built")
    layer.link("tmp/again", "tmp/built")
    _, target = layer.clean()
    assert contents(target) == {"usr/bin/tool": b"binary", "usr/bin/tool-2": b"binary"}
    found = entries(target)
    assert found["usr/bin/tool-2"].linkname == "usr/bin/tool"
    assert found["usr/bin/tool"].mode == 0o4755


@pytest.mark.parametrize("before", [0, 256 * 1024 - 520, 256 * 1024 - 512 - 8, 256 * 1024 - 512])
def test_a_secret_is_found_wherever_it_lies(layer: Layer, before: int) -> None:
    layer.file("usr/share/data", b"." * before + SECRET + b"." * 300_000)
    with pytest.raises(LeakFound, match="the value of TOKEN is in usr/share/data"):
        layer.clean()


def test_a_secret_in_a_name_is_found(layer: Layer) -> None:
    layer.file(f"usr/share/{SECRET.decode()}")
    with pytest.raises(LeakFound):
        layer.clean()


def test_a_secret_in_what_goes_is_no_leak(layer: Layer) -> None:
    layer.file("tmp/jupyter/kernel.json", SECRET)
    result, _ = layer.clean()
    assert result.entries == 0


def test_the_error_never_holds_the_secret(layer: Layer) -> None:
    layer.file("usr/\udce4", SECRET)
    with pytest.raises(LeakFound) as found:
        layer.clean()
    assert SECRET.decode() not in str(found.value)
    str(found.value).encode()


def test_a_layer_with_a_broken_header_is_refused(layer: Layer) -> None:
    layer.file("usr/a", b"1")
    layer.file("usr/b", b"2")
    layer._archive.close()
    damaged = bytearray(layer.path.read_bytes())
    damaged[1024 + 10] ^= 0xFF
    layer.path.write_bytes(damaged)
    with pytest.raises(BadArchive):
        clean_layer(layer.path, layer.path.with_suffix(".clean"), Leaks({}))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.binary(min_size=8, max_size=30), st.integers(0, 200))
def test_a_secret_is_found_however_the_stream_is_cut(size: int, secret: bytes, at: int) -> None:
    stream = b"\xfe" * at + secret + b"\xfe" * 50
    leaks = Leaks({secret: "NAME"})
    leaks.begin("file")

    def read() -> None:
        for start in range(0, len(stream), size):
            leaks.look(stream[start : start + size])

    with pytest.raises(LeakFound):
        read()


def test_what_the_parent_says_and_what_people_named_is_no_secret() -> None:
    environment = [
        "PATH=/opt/apportion/bin",
        "MLFLOW_TRACKING_URI=sqlite:////home/work/m.db",
        "JUPYTERHUB_API_TOKEN=0123456789abcdef",
        "JUPYTERHUB_SERVER_NAME=tensorflow",
        "APPORTION_SESSION_NAME=tensorflow",
        "MEM_LIMIT=2147483648",
        "SHORT=abc",
        "EMPTY",
        "WITH_EQUALS=password=long",
    ]
    inherited = ["PATH=/opt/apportion/bin", "MLFLOW_TRACKING_URI=sqlite:////home/work/m.db"]
    assert secret_values(environment, inherited) == {
        b"0123456789abcdef": "JUPYTERHUB_API_TOKEN",
        b"password=long": "WITH_EQUALS",
    }


def test_a_layer_that_gets_shorter_while_it_is_read_is_refused(
    layer: Layer, tmp_path: Path
) -> None:
    class Shortening(Leaks):
        def begin(self, path: str) -> None:
            os.truncate(layer.path, 100)

    layer.file("usr/thing", b"x" * 5000)
    layer.close()
    with pytest.raises(BadArchive, match="ends in the middle of a file"):
        clean_layer(layer.path, tmp_path / "clean", Shortening({SECRET: "TOKEN"}))


def test_the_home_and_the_user_that_every_session_has_are_no_secrets() -> None:
    told = ["HOME=/home/work", "USER=somebody", "TOKEN=0123456789abcdef"]
    assert secret_values(told, ["PATH=/bin"]) == {b"0123456789abcdef": "TOKEN"}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("tmp", False),
        ("tmpfiles", True),
        ("usr/tmp", True),
        ("home", True),
        ("home/work", False),
        ("home/workshop", True),
        ("home/.wh.work", False),
        (".wh.tmp", False),
        ("opt/.wh.old", True),
        ("tmp/.wh..wh..opq", False),
        ("./tmp/x", False),
        ("root/.cachet", True),
        ("root/.bashrc", True),
    ],
)
def test_which_paths_stay(path: str, kept: bool) -> None:
    assert is_kept(path, is_directory=False) is kept
