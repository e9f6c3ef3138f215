"""A secret is found in compressed files too, and no file keeps the search from ending."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_ext.images.leaks import LeakFound
from hub_ext.images.packed_leaks import Bounds, PackedLeaks

SECRET = b"token-0123456789"
MIB = 1024 * 1024


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("first.txt", b"harmless " * 100)
        archive.writestr("inner/second.txt", content)
    return buffer.getvalue()


def streamed_zip(content: bytes) -> bytes:
    """Sizes come after the members, as in what is made on the fly."""

    class Unseekable(io.RawIOBase):
        def __init__(self) -> None:
            self.written = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.written += data
            return len(data)

    output = Unseekable()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("first.txt", b"harmless " * 100)
        archive.writestr("second.txt", content)
    return bytes(output.written)


def tarred(content: bytes, name: str = "member") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def stored(content: bytes) -> bytes:
    return zipped(content, zipfile.ZIP_STORED)


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zip": zipped,
    "zip with bzip2": lambda content: zipped(content, zipfile.ZIP_BZIP2),
    "zip made on the fly": streamed_zip,
    "gzip in two members": lambda content: gzip.compress(b"first") + gzip.compress(content),
    "gzip behind something else": lambda content: os.urandom(300_000) + gzip.compress(content),
    "zip behind a program": lambda content: b"#!/bin/sh\nexit\n" * 50 + zipped(content),
    "wheel in a tar.gz": lambda content: gzip.compress(tarred(zipped(content), "a.whl")),
    "gzip stored in a zip": lambda content: stored(gzip.compress(content)),
    "xz in a zip in a gzip": lambda content: gzip.compress(zipped(lzma.compress(content))),
    "deb": lambda content: b"!<arch>\ndata.tar.xz  " + lzma.compress(tarred(content)),
    "behind what only looks packed": lambda content: (
        b"\x1f\x8b\x08\x00abcd\x00\x03" + b"\xff" * 50 + gzip.compress(content)
    ),
}


@pytest.fixture(params=PACKED)
def pack(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return PACKED[request.param]


def search(content: bytes, leaks: PackedLeaks, size: int = 256 * 1024) -> None:
    """As a file of a layer is read."""
    leaks.begin("usr/share/packed")
    for start in range(0, len(content), size):
        leaks.look(content[start : start + size])


def test_a_secret_in_it_is_found(pack: Callable[[bytes], bytes]) -> None:
    content = b"harmless\n" * 40_000 + SECRET + os.urandom(1000)
    packed = pack(content)
    assert SECRET not in packed
    with pytest.raises(LeakFound, match="the value of TOKEN is in usr/share/packed, unpacked"):
        search(packed, PackedLeaks({SECRET: "TOKEN"}))


def test_one_without_a_secret_is_searched_whole(pack: Callable[[bytes], bytes]) -> None:
    leaks = PackedLeaks({SECRET: "TOKEN"})
    search(pack(b"harmless\n" * 40_000 + SECRET[:-1] + b"x"), leaks)
    assert leaks.note() == ""


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(0, 3000), st.sampled_from(sorted(PACKED)))
def test_it_is_found_however_the_file_is_cut(size: int, before: int, kind: str) -> None:
    content = PACKED[kind](b"ab" * before + SECRET + b"c" * 50)
    leaks = PackedLeaks({SECRET: "TOKEN"})
    if len(content) // size > 20_000:
        size = 700
    with pytest.raises(LeakFound):
        search(content, leaks, size)


def test_the_next_file_begins_afresh() -> None:
    leaks = PackedLeaks({SECRET: "TOKEN"})
    whole = gzip.compress(os.urandom(100_000))
    search(whole[: len(whole) // 2], leaks)
    with pytest.raises(LeakFound):
        search(gzip.compress(SECRET), leaks)


def bomb(mib: int) -> bytes:
    """Zeros; a thousandth of them."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    zeros = bytes(MIB)
    return b"".join(packer.compress(zeros) for _ in range(mib)) + packer.flush()


def test_a_bomb_takes_neither_memory_nor_time_and_is_named() -> None:
    leaks = PackedLeaks({SECRET: "TOKEN"}, Bounds(file_bytes=50 * MIB))
    packed = bomb(400)
    tracemalloc.start()
    search(packed, leaks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB
    assert leaks.note() == (
        "One packed file was not searched for the session's secrets, or not to the end:"
        " usr/share/packed (it unpacks to more than 50 MiB)."
    )
    search(gzip.compress(b"x"), leaks)
    with pytest.raises(LeakFound):
        search(gzip.compress(SECRET), leaks)


def test_a_bomb_in_a_bomb_is_bounded_alike() -> None:
    leaks = PackedLeaks({SECRET: "TOKEN"}, Bounds(file_bytes=20 * MIB))
    search(gzip.compress(zipped(gzip.compress(bomb(100)))), leaks)
    assert "it unpacks to more than 20 MiB" in leaks.note()


def test_many_files_have_one_bound_together() -> None:
    leaks = PackedLeaks({SECRET: "TOKEN"}, Bounds(bytes=10 * MIB))
    for number in range(8):
        leaks.begin(f"usr/{number}.gz")
        leaks.look(bomb(3))
    note = leaks.note()
    assert note.startswith("5 packed files were not searched")
    assert "usr/3.gz (10 MiB were unpacked before)" in note
    # What is not packed is still searched, to the last byte.
    with pytest.raises(LeakFound):
        search(b"plain " + SECRET, leaks)


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        (Bounds(file_seconds=10), "it takes more than 10 s to unpack"),
        (Bounds(seconds=20), "20 s were spent on others before"),
    ],
)
def test_seconds_are_bounded(bounds: Bounds, told: str) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    leaks = PackedLeaks({SECRET: "TOKEN"}, bounds, clock)
    for _ in range(4):
        search(bomb(20), leaks)
    assert told in leaks.note()


def needy_xz() -> bytes:
    """Asks for 4 GiB to be unpacked."""
    packed = bytearray(lzma.compress(b"x" * 1000))
    assert packed[12:17] == b"\x02\x00\x21\x01\x16"
    packed[16] = 0x28
    packed[20:24] = zlib.crc32(packed[12:20]).to_bytes(4, "little")
    return bytes(packed)


def encrypted_zip() -> bytes:
    packed = bytearray(zipped(b"x"))
    packed[6] |= 1
    return bytes(packed)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (needy_xz(), "it needs too much memory to unpack"),
        (encrypted_zip(), "it is encrypted"),
        (zipped(b"x", zipfile.ZIP_LZMA), "method 14 of zip cannot be read here"),
        (b"\x28\xb5\x2f\xfd\x04\x00\x41\x00\x00", "zstd cannot be read here"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(40), "7z cannot be read here"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(40), "rar cannot be read here"),
    ],
)
def test_what_cannot_be_unpacked_is_named(content: bytes, why: str) -> None:
    leaks = PackedLeaks({SECRET: "TOKEN"})
    search(content, leaks)
    assert f"usr/share/packed ({why})" in leaks.note()


def test_what_is_packed_too_often_is_named() -> None:
    content = SECRET
    for _ in range(4):
        content = gzip.compress(content)
    with pytest.raises(LeakFound):
        search(content, PackedLeaks({SECRET: "TOKEN"}))
    leaks = PackedLeaks({SECRET: "TOKEN"})
    search(gzip.compress(content), leaks)
    assert "files packed in one another more than 4 times" in leaks.note()


def test_of_many_a_few_are_named_and_briefly() -> None:
    leaks = PackedLeaks({SECRET: "TOKEN"})
    for number in range(30):
        leaks.begin(f"usr/\udce4{'x' * 4000}/{number}.zst")
        leaks.look(b"\x28\xb5\x2f\xfd\x04\x00\x41\x00\x00")
    note = leaks.note()
    note.encode()
    assert note.startswith("30 packed files were")
    assert note.endswith(" and 25 more.")
    assert len(note) < 1500


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([gzip.compress, lzma.compress, bz2.compress, zipped, streamed_zip]),
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=40),
    st.integers(1, 5000),
)
def test_damaged_files_end_the_search_of_nothing(
    pack: Callable[[bytes], bytes], at: int, damage: bytes, size: int
) -> None:
    packed = bytearray(pack(bytes(range(256)) * 20))
    at %= len(packed)
    packed[at : at + len(damage)] = damage
    leaks = PackedLeaks({SECRET: "TOKEN"})
    search(bytes(packed), leaks, size)
    with pytest.raises(LeakFound):
        search(b"plain " + SECRET, leaks)
