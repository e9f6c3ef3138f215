"""Which release this machine runs and which mirror serves it, from what apt knows."""

from __future__ import annotations

import pytest

from hub_ext.images.apt_sources import Distribution, official_sources, read_distribution

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_CODENAME=bookworm\n'
UBUNTU = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n"


def test_the_mirror_comes_from_deb822_sources() -> None:
    text = """\
# made by the installer
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
"""

    assert read_distribution(DEBIAN, [], [text]) == Distribution(
        "debian",
        "bookworm",
        "http://mirror.example/debian",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
    )


def test_a_switched_off_source_is_not_used() -> None:
    off = "Enabled: no\nTypes: deb\nURIs: http://off.example/\nSuites: bookworm\nComponents: main\n"

    found = read_distribution(DEBIAN, [], [off])

    assert found == Distribution("debian", "bookworm", "http://deb.debian.org/debian")


def test_an_embedded_key_is_no_path_of_a_keyring() -> None:
    text = (
        "Types: deb\nURIs: http://m.example/\nSuites: bookworm\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    )

    found = read_distribution(DEBIAN, [], [text])

    assert found == Distribution("debian", "bookworm", "http://m.example/")


@pytest.mark.parametrize(
    ("line", "keyring"),
    [
        ("deb http://m.example/ubuntu noble main universe", ""),
        ("deb [arch=amd64 signed-by=/k.gpg] http://m.example/ubuntu noble main", "/k.gpg"),
    ],
)
def test_the_mirror_comes_from_one_line_sources(line: str, keyring: str) -> None:
    text = f"# deb http://old.example/ubuntu noble main\n{line}\n"

    found = read_distribution(UBUNTU, [text], [])

    assert found == Distribution("ubuntu", "noble", "http://m.example/ubuntu", keyring)


@pytest.mark.parametrize(
    "line",
    [
        "deb cdrom:[Debian 12]/ bookworm main",
        "deb http://m.example/debian bookworm-backports main",
        "deb http://m.example/other bookworm contrib",
        "deb-src http://m.example/debian bookworm main",
    ],
)
def test_other_sources_are_passed_over(line: str) -> None:
    found = read_distribution(DEBIAN, [line], [])

    assert found is not None
    assert found.mirror == "http://deb.debian.org/debian"


@pytest.mark.parametrize("os_release", ["", "ID=fedora\n", "ID=linuxmint\nID_LIKE=ubuntu\n"])
def test_a_machine_that_debootstrap_cannot_copy_is_nothing(os_release: str) -> None:
    assert read_distribution(os_release, [], []) is None


def test_images_are_told_of_public_servers_only() -> None:
    text = official_sources(Distribution("debian", "bookworm", "http://mirror.example/debian"))

    assert "mirror.example" not in text
    assert "http://deb.debian.org/debian bookworm main" in text
    assert "bookworm-security" in text
