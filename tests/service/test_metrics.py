"""Metrics: complete, named by Prometheus' conventions, and used by the dashboard for Grafana."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.db.folder_models import FolderRow, StorageQuotaRow
from hub_ext.db.image_models import ImageRequestRow
from hub_ext.db.models import DeviceRow
from hub_ext.nodes import inventory
from hub_ext.nodes.administration import NodeChange, change_node
from hub_ext.sessions.activity import Activity
from hub_ext.sessions.notices import Notice, warn
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site
from tests.service.booked_rows import book
from tests.service.project_rows import HOUR, add_project, add_session
from tests.service.rest_client import RestClient, serving

GRAFANA = Path(__file__).parents[2] / "docs" / "grafana" / "apportion.json"
UNITS = ("seconds", "bytes", "ratio", "total", "info", "cores", "gpus")
NOT_BASE_UNITS = ("milli", "minutes", "hours", "mib", "gib", "kib", "percent", "ms", "mb", "gb")
OF_A_USER = {"user", "username", "session", "session_id"}
Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


async def scrape(client: RestClient, *, token: str = "root", accept: str = "") -> HTTPResponse:
    return await AsyncHTTPClient().fetch(
        f"{client.base}metrics",
        headers={"Authorization": f"token {token}", "Accept": accept},
        raise_error=False,
    )


async def samples(client: RestClient) -> Samples:
    """Values by name of sample, then by labels."""
    answer = await scrape(client)
    assert answer.code == 200, answer.body
    found: Samples = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get(name, {}).get(tuple(sorted(labels.items())), 0.0)


@pytest.fixture
async def busy_site(site: Site) -> Site:
    """Something of everything that is measured."""
    await inventory.refresh(site)
    site.policy = type(site.policy)(unit=site.policy.unit, project_storage_bytes=5 * 2**30)
    with site.database.transaction() as db:
        add_project(db, "ml101", quota_gpu_milli=1500)
        book(db, "gpu-1", {0: 500}, project="ml101")
        add_session(db, "ml101", reason_code="no_slice", submitted_at=time.time() - 90)
        common = {"created_at": 0.0, "created_by": "root"}
        db.add(FolderRow(id="f1", kind="project", owner="ml101", name="d", used_bytes=7, **common))
        db.add(FolderRow(id="f2", owner="ann", name="", used_bytes=11, **common))
        db.add(StorageQuotaRow(kind="project", owner="ml101", bytes=2**30))
        db.add(
            ImageRequestRow(
                id="r1",
                session_id="s",
                user="ann",
                project="ml101",
                name="n",
                state="requested",
                requested_at=0.0,
            )
        )
    return site


async def test_every_metric_is_named_by_the_conventions(
    busy_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(busy_site, monkeypatch) as client:
        await client("GET", "nodes")
        text = (await scrape(client)).body.decode()
    families = [*text_string_to_metric_families(text)]
    ours = [family for family in families if family.name.startswith("apportion_")]
    assert len(ours) > 30
    problems = [problem for family in families for problem in _problems(family)]
    assert problems == []
    names = re.findall(r"^# HELP (\S+)", text, flags=re.MULTILINE)
    assert len(names) == len(set(names))


def _problems(family: Metric) -> Iterator[str]:
    """What ``promtool check metrics`` would say, and what it cannot know."""
    name, kind, text = (family.name, family.type, family.documentation)
    full = f"{name}_total" if kind == "counter" else name
    if not text.strip():
        yield f"{name} has no HELP"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield f"{name} is not in snake_case"
    if kind != "counter" and name.endswith("_total"):
        yield f"{name} ends like a counter and is a {kind}"
    if re.search(r"_(count|sum|bucket)$", name):
        yield f"{name} ends like a part of a histogram"
    if re.search(r"(^|_)(gauge|counter|histogram|summary)(_|$)", name):
        yield f"{name} names its type"
    words = full.split("_")
    if set(words) & set(NOT_BASE_UNITS):
        yield f"{name} is not in base units"
    units = [word for word in words if word in {"seconds", "bytes", "ratio"}]
    if units and words[-1] not in {units[-1], "total"}:
        yield f"{name} does not end with its unit"
    if kind == "histogram" and words[-1] != "seconds":
        yield f"the histogram {name} does not say its unit"
    for sample in family.samples:
        labels = set(sample.labels) - {"le"}
        if labels & OF_A_USER or not all(re.fullmatch(r"[a-z_]+", each) for each in labels):
            yield f"{sample.name} has the labels {sorted(labels)}"
        if kind == "counter" and not sample.name.endswith(("_total", "_created")):
            yield f"the counter {sample.name} does not end in _total"


async def test_the_state_is_told_in_base_units(
    busy_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(busy_site, monkeypatch) as client:
        found = await samples(client)
    project, node = {"project": "ml101"}, {"node": "gpu-1"}
    first = {**node, "device": "0"}
    assert value(found, "apportion_sessions", status="running", **project) == 1
    assert value(found, "apportion_sessions", status="pending", **project) == 1
    assert value(found, "apportion_sessions", status="pending", project="default") == 0
    assert value(found, "apportion_queue_length", reason="no_slice") == 1
    assert 80 < value(found, "apportion_queue_oldest_seconds") < 300
    assert value(found, "apportion_gpus_capacity") == 2
    assert value(found, "apportion_gpus", state="in_use") == 0.5
    assert value(found, "apportion_gpus", state="free") == 1.5
    assert value(found, "apportion_device_booked_ratio", **first) == 0.5
    assert value(found, "apportion_device_memory_bytes", **first) == 8 * 2**30
    assert value(found, "apportion_node_schedulable", **node) == 1
    assert value(found, "apportion_node_cpu_booked_cores", **node) == 1
    assert value(found, "apportion_project_booked_gpus", **project) == 0.5
    assert value(found, "apportion_project_quota_gpus", **project) == 1.5
    assert ("project", "default") not in dict(found["apportion_project_quota_gpus"])
    assert value(found, "apportion_project_folders_bytes", **project) == 7
    assert value(found, "apportion_project_folders_quota_bytes", **project) == 2**30
    assert value(found, "apportion_user_folders_bytes") == 11
    assert value(found, "apportion_image_requests", state="requested") == 1
    assert value(found, "apportion_database_size_bytes") > 10_000
    assert list(found["apportion_build_info"].values()) == [1]
    about = next(dict(labels) for labels in found["apportion_device_info"])
    assert (about["simulated"], about["model"]) == ("true", "Simulated GPU")


async def test_what_is_out_of_service_shows(
    busy_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_site.database.transaction() as db:
        device = db.get(DeviceRow, ("gpu-1", 1))
        assert device is not None
        device.problem = "It has fallen off the bus."
        change_node(db, "gpu-1", NodeChange(drained=True), "root")
    async with serving(busy_site, monkeypatch) as client:
        found = await samples(client)
    assert value(found, "apportion_device_problem", node="gpu-1", device="1") == 1
    assert value(found, "apportion_node_drained", node="gpu-1") == 1
    assert value(found, "apportion_node_schedulable", node="gpu-1") == 0
    assert value(found, "apportion_gpus", state="free") == 0
    assert value(found, "apportion_gpus", state="out_of_service") == 1.5


async def test_what_happens_after_the_start_is_counted_once(
    busy_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = busy_site.store
    async with serving(busy_site, monkeypatch) as client:
        assert (
            value(await samples(client), "apportion_sessions_started_total", project="ml101") == 0
        )
        waiting = next(row for row in store.find(statuses={Status.PENDING}))
        Queue(busy_site).pass_once()
        for status in (Status.PREPARING, Status.STARTING, Status.RUNNING):
            store.transition(waiting.id, status, Why(), by="spawner")
        warn(store, waiting.id, Notice("reclaim", "Others are due it.", time.time()))
        store.transition(waiting.id, Status.PREEMPTED, Why("", "reclaim"), by="scheduler")
        store.transition(waiting.id, Status.TERMINATED, Why(), by="service")
        await samples(client)
        found = await samples(client)
    project = {"project": "ml101"}
    assert value(found, "apportion_sessions_started_total", **project) == 1
    assert value(found, "apportion_session_evictions_total", reason="reclaim", **project) == 1
    assert value(found, "apportion_sessions_ended_total", status="terminated", **project) == 1
    assert value(found, "apportion_session_wait_seconds_count") == 1
    assert 80 < value(found, "apportion_session_wait_seconds_sum") < 300
    assert value(found, "apportion_session_start_duration_seconds_count") == 1


async def test_a_failure_says_its_reason(busy_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(busy_site, monkeypatch) as client:
        waiting = next(row for row in busy_site.store.find(statuses={Status.PENDING}))
        why = Why("The hub refuses.", "hub_refused")
        busy_site.store.transition(waiting.id, Status.ERROR, why, by="service")
        found = await samples(client)
    assert value(found, "apportion_session_failures_total", reason="hub_refused") == 1
    assert value(found, "apportion_sessions_ended_total", status="error", project="ml101") == 1


async def test_scheduling_passes_are_timed_and_their_decisions_counted(
    busy_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy_site.database.transaction() as db:
        add_session(db, "ml101", id="f" * 32, gpu_milli=9000)
    async with serving(busy_site, monkeypatch) as client:
        await Queue(busy_site)._pass()
        found = await samples(client)
    assert value(found, "apportion_scheduling_pass_duration_seconds_count") == 1
    assert value(found, "apportion_scheduling_passes_total", outcome="written") == 1
    assert value(found, "apportion_scheduling_passes_total", outcome="failed") == 0
    assert value(found, "apportion_scheduling_decisions_total", outcome="start") == 1
    assert value(found, "apportion_scheduling_decisions_total", outcome="wait") == 1


async def test_requests_are_counted_by_handler_and_no_invented_method_is_a_label(
    busy_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(busy_site, monkeypatch) as client:
        await client("GET", "nodes")
        await client("GET", "nodes", by="ann")
        await client("EVIL", "nodes")
        found = await samples(client)
    requests = "apportion_http_requests_total"
    assert value(found, requests, handler="NodesHandler", method="GET", status="200") == 1
    assert value(found, requests, handler="NodesHandler", method="GET", status="403") == 1
    assert value(found, requests, handler="NodesHandler", method="other", status="405") == 1
    seconds = "apportion_http_request_duration_seconds_count"
    assert value(found, seconds, handler="NodesHandler") == 3


async def test_the_log_of_requests_holds_nothing_that_opens_something(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(site, monkeypatch) as client:
        url = f"{client.base}api/v1/live?_xsrf=sesame&topics=weather&code=doors&x=1"
        await AsyncHTTPClient().fetch(url, raise_error=False)
        callback = f"{client.base}oauth_callback?state=x&code=y"
        await AsyncHTTPClient().fetch(callback, raise_error=False)
    assert "live?_xsrf=[secret]&topics=weather&code=[secret]&x=1 " in caplog.text
    assert "oauth_callback?state=[secret]&code=[secret] " in caplog.text
    assert "sesame" not in caplog.text


async def test_a_session_without_activity_makes_its_gpu_idle(
    busy_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = next(row for row in busy_site.store.find(statuses={Status.RUNNING}))
    long_ago = time.time() - 3 * HOUR
    with busy_site.database.transaction() as db:
        row = db.merge(holder)
        row.running_at = long_ago
    monkeypatch.setattr(Activity, "known", True)
    monkeypatch.setattr(Activity, "of", lambda *_: long_ago)
    async with serving(busy_site, monkeypatch) as client:
        found = await samples(client)
    assert value(found, "apportion_activity_known") == 1
    assert value(found, "apportion_gpus", state="idle") == 0.5
    assert value(found, "apportion_gpus", state="in_use") == 0
    assert value(found, "apportion_device_idle_ratio", node="gpu-1", device="0") == 0.5


async def test_only_admins_and_the_scrapers_token_read_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(site, monkeypatch) as client:
        tokens = ("root", "service-token", "ann", "nobody")
        codes = [(await scrape(client, token=token)).code for token in tokens]
    assert codes == [200, 200, 403, 401]


async def test_the_openmetrics_format_is_spoken_if_asked_for(
    busy_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = "application/openmetrics-text; version=1.0.0"
    async with serving(busy_site, monkeypatch) as client:
        answer = await scrape(client, accept=wanted)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    names = {each.name for each in openmetrics.text_string_to_metric_families(answer.body.decode())}
    assert {"apportion_build", "apportion_sessions", "apportion_http_requests"} <= names


async def test_grafanas_dashboard_asks_only_for_metrics_that_there_are(
    busy_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(busy_site, monkeypatch) as client:
        text = (await scrape(client)).body.decode()
    told = set(re.findall(r"^# TYPE (\S+)", text, flags=re.MULTILINE))
    told |= {f"{name}_{part}" for name in told for part in ("bucket", "count", "sum")}
    board = json.loads(GRAFANA.read_text())
    expressions = [
        target["expr"] for panel in _panels(board["panels"]) for target in panel.get("targets", ())
    ]
    asked = {name for each in expressions for name in re.findall(r"\bapportion_\w+", each)}
    assert len(asked) > 20
    assert asked - told == set()
    assert next(each["type"] for each in board["templating"]["list"]) == "datasource"
    assert all(
        panel["datasource"]["uid"] == "${datasource}"
        for panel in _panels(board["panels"])
        if panel["type"] != "row"
    )
    ids = [panel["id"] for panel in _panels(board["panels"])]
    assert len(ids) == len(set(ids))


def _panels(panels: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))  # type: ignore[arg-type]
