"""This machine's package settings: merged as pip merges them, handed on whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_ext.images.site import SITE_DIRECTORY, pip_config_files, pip_options, read_site

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".config/pip").mkdir(parents=True)
    return tmp_path


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub_ext.images.site._SYSTEM_BUNDLES", ())
    monkeypatch.setattr(
        "hub_ext.images.site.pip_config_files",
        lambda environ, home: [home / ".config/pip/pip.conf"],
    )


def conf(home: Path, text: str) -> None:
    (home / ".config/pip/pip.conf").write_text(text)


def test_the_users_file_is_stronger_than_the_machines(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak", tmp_path / "strong"
    weak.write_text("[global]\nindex-url = https://weak.example/\ntimeout = 5\n")
    strong.write_text("[global]\nindex_url = https://strong.example/\n")

    assert pip_options([weak, strong], {}) == {
        "index-url": "https://strong.example/",
        "timeout": "5",
    }


def test_the_section_of_install_and_then_the_environment_win(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = a\nretries = 1\n[install]\nindex-url = b\n")

    options = pip_options([file], {"PIP_RETRIES": "9", "PIPELINE": "x", "PIP_TARGET": "/t"})

    assert options == {"index-url": "b", "retries": "9"}


def test_a_broken_file_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("no section\n")

    assert pip_options([file, tmp_path / "missing"], {}) == {}


def test_files_come_in_pips_order() -> None:
    files = pip_config_files({"PIP_CONFIG_FILE": "/x.conf"}, Path("/h"))

    assert [str(path) for path in files] == [
        "/etc/xdg/pip/pip.conf",
        "/etc/pip.conf",
        "/h/.pip/pip.conf",
        "/h/.config/pip/pip.conf",
        "/x.conf",
    ]
    assert pip_config_files({"PIP_CONFIG_FILE": "/dev/null"}, Path("/h")) == []


def test_the_ca_bundle_travels_as_a_file(home: Path) -> None:
    (home / "ca.pem").write_bytes(PEM)
    conf(home, f"[global]\ncert = {home}/ca.pem\n")

    site = read_site({}, home)

    assert site.files["ca.pem"] == PEM
    assert f"cert = {SITE_DIRECTORY}/ca.pem" in site.files["pip.conf"].decode()
    assert str(home) not in site.files["pip.conf"].decode()
    assert f"SSL_CERT_FILE='{SITE_DIRECTORY}/ca.pem'" in site.files["environment"].decode()


def test_without_a_bundle_nothing_is_said_about_one(home: Path) -> None:
    site = read_site({}, home)

    assert "ca.pem" not in site.files
    assert "cert" not in site.files["pip.conf"].decode()


def test_local_package_folders_are_shown_under_their_own_path(home: Path) -> None:
    wheels, index = home / "wheels", home / "mirror/simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    conf(
        home,
        f"[global]\nfind-links = {wheels}\n  https://wheels.example/\n"
        f"extra-index-url = file://{index}\n  file:///nowhere/simple\n",
    )

    site = read_site({}, home)

    assert site.local_directories == (str(index.parent), str(wheels))


def test_several_places_stay_several(home: Path) -> None:
    conf(home, "[global]\nfind-links = https://a.example/\n  https://b.example/\n")

    text = read_site({}, home).files["pip.conf"].decode()

    assert "https://a.example/\n    https://b.example/" in text


def test_proxies_reach_the_installation_quoted(home: Path) -> None:
    site = read_site({"HTTPS_PROXY": "http://u:p'w@proxy.example:3128"}, home)

    text = site.files["environment"].decode()
    assert "HTTPS_PROXY='http://u:p'\\''w@proxy.example:3128'" in text
    assert "\nhttps_proxy=" in text


def test_passwords_of_netrc_travel_as_a_file(home: Path) -> None:
    (home / ".netrc").write_text("machine mirror.example login u password p\n")

    site = read_site({}, home)

    assert b"mirror.example" in site.files["netrc"]
    assert b"mirror.example" not in site.files["environment"]
