"""A grant in, docker-py's arguments out: exactly what a session's container will be."""

from __future__ import annotations

from docker.types import DeviceRequest, Mount
from test_spawner_grant import grant_values

from spawner.grant import Grant
from spawner.objects import MIB, container_config, container_environment, host_config


def grant(**changes: object) -> Grant:
    return Grant.model_validate(grant_values(**changes))


def test_every_container_is_hardened() -> None:
    config = host_config(grant(network="apportion-0badcafe", shm_mib=128, pids_limit=4096))

    log_config = config.pop("log_config")
    assert dict(log_config) == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}
    assert config == {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": 4096,
        "mem_limit": 2048 * MIB,
        "memswap_limit": 2048 * MIB,
        "nano_cpus": 1_500_000_000,
        "shm_size": 128 * MIB,
        "init": True,
        "ipc_mode": "private",
        "network_mode": "apportion-0badcafe",
        "mounts": [],
        "restart_policy": {"Name": "no", "MaximumRetryCount": 0},
    }


def test_a_container_runs_the_images_own_command_as_its_ordinary_user() -> None:
    config = container_config(grant(labels={"org.apportion.session": "a"}), {"A": "1"})

    assert config == {
        "image": "apportion/base:0.1.0",
        "name": "apportion-0badcafe-aaaaaaaaaaaa",
        "user": "1000:1000",
        "environment": {"A": "1"},
        "labels": {"org.apportion.session": "a"},
        "working_dir": "/home/work",
        "hostname": "apportion-0badcafe-aaaaaaaaaaaa",
        "stop_signal": "SIGTERM",
    }


def test_a_configured_command_replaces_the_images() -> None:
    assert container_config(grant(), {}, ["serve"])["command"] == ["serve"]


def test_folders_are_private_binds() -> None:
    mounts = [
        {"source": "/data/f1", "target": "/home/work", "read_only": False},
        {"source": "/data/f2", "target": "/home/work/set", "read_only": True},
    ]
    assert host_config(grant(mounts=mounts))["mounts"] == [
        Mount("/home/work", "/data/f1", type="bind", read_only=False, propagation="rprivate"),
        Mount("/home/work/set", "/data/f2", type="bind", read_only=True, propagation="rprivate"),
    ]


def test_real_devices_are_requested_by_uuid_only() -> None:
    config = host_config(grant(device_uuids=["GPU-1", "GPU-2"]))

    assert config["device_requests"] == [
        DeviceRequest(driver="nvidia", device_ids=["GPU-1", "GPU-2"], capabilities=[["gpu"]])
    ]


def test_simulated_devices_are_never_asked_of_the_engine() -> None:
    assert "device_requests" not in host_config(grant(device_uuids=["GPU-1"], simulated=True))


def test_no_device_means_no_device_request() -> None:
    assert "device_requests" not in host_config(grant())


def test_sudo_adds_its_capabilities_to_none() -> None:
    config = host_config(grant(sudo=True))

    assert config["cap_drop"] == ["ALL"]
    assert "SETUID" in config["cap_add"]
    assert "SYS_ADMIN" not in config["cap_add"]
    assert "security_opt" not in config


def test_the_hubs_variables_win_over_the_grants() -> None:
    env = container_environment(
        grant(env={"JUPYTERHUB_API_TOKEN": "forged", "APPORTION_FGPU": "0.5"}),
        {"JUPYTERHUB_API_TOKEN": "true", "PORT": 8888, "UNSET": None},
        {"APPORTION_READY_URL": "http://hub/hub/apportion/ready/ann/"},
    )
    assert env == {
        "JUPYTERHUB_API_TOKEN": "true",
        "APPORTION_FGPU": "0.5",
        "PORT": "8888",
        "APPORTION_READY_URL": "http://hub/hub/apportion/ready/ann/",
        "APPORTION_SESSION_ID": "a" * 32,
    }


def test_braces_in_values_are_passed_on_as_they_are() -> None:
    env = container_environment(grant(env={"A": "{username} {0}"}), {}, {})
    assert container_config(grant(), env)["environment"]["A"] == "{username} {0}"
