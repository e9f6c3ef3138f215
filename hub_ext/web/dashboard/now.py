"""What is there, booked and waited for now, in the shape of the dashboard's templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any
from urllib.parse import quote, urlencode

from hub_ext.fgpu import GPU_MILLI, FgpuUnit
from hub_ext.nodes.occupancy import DeviceUse, Fleet, NodeUse, Part
from hub_ext.projects.holdings import Holding
from hub_ext.projects.shares import quota_now
from hub_ext.projects.tree import Rows
from hub_ext.scheduling.model import UNLIMITED
from hub_ext.sessions.queue_summary import Waiting
from hub_ext.sessions.status import STOPPING, Status
from hub_ext.web.dashboard import wording
from hub_ext.web.templating import ROOT

STRIPS_FROM = 12
"""Nodes from which on each is one line, if the reader has not chosen."""
PROJECTS_SHOWN, REASONS_SHOWN = 12, 8


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Which nodes are shown: of a group, with a text in the name, with something free."""

    group: str = ""
    node: str = ""
    free: bool = False
    view: str = ""
    """cards or strips; "": by the number of nodes."""

    def lets_through(self, node: NodeUse) -> bool:
        """Whether this one is wanted."""
        return (
            self.group in {"", node.group}
            and self.node.casefold() in node.name.casefold()
            and (not self.free or node.free_milli > 0)
        )

    def strips(self, shown: int) -> bool:
        """Whether each node is one line."""
        return self.view == "strips" or (self.view != "cards" and shown > STRIPS_FROM)

    def query(self, **other: str) -> str:
        """For an address: what is set, and ``other`` in its place; "" or "?a=b"."""
        values = {"group": self.group, "node": self.node, "view": self.view}
        values |= {"free": "1" if self.free else ""} | other
        text = urlencode({name: value for name, value in values.items() if value})
        return f"?{text}" if text else ""


def sessions_url(**query: str) -> str:
    """The Sessions page, everybody's, so filtered."""
    return f"{ROOT}?{urlencode({'all': '1', **query}, quote_via=quote)}"


def gpu_totals(fleet: Fleet, unit: FgpuUnit) -> dict[str, Any]:
    """fGPU there, booked, idle, free, out of service; how many devices say how busy they are."""
    readings = [device.busy for device in fleet.devices if device.busy is not None]
    # what is booked on a device that went out of service since is booked all the same
    free, booked = fleet.free_milli, fleet.booked_milli
    out = max(0, fleet.there_milli - booked - free)
    return {
        "devices": len(fleet.devices),
        "simulated": sum(device.simulated for device in fleet.devices),
        "there": unit.fgpu(fleet.there_milli),
        "booked": unit.fgpu(booked),
        "in_use": unit.fgpu(booked - fleet.idle_milli),
        "idle": unit.fgpu(fleet.idle_milli),
        "idle_sessions": len(fleet.idle_holders),
        "free": unit.fgpu(free),
        "out": unit.fgpu(out),
        "out_devices": fleet.out_milli // GPU_MILLI,
        "measured": len(readings),
        "busy": sum(readings) / len(readings) if readings else None,
    }


def node_cards(
    nodes: Sequence[NodeUse], unit: FgpuUnit, colours: Mapping[str, int], *, in_full: bool
) -> list[dict[str, Any]]:
    """Nodes as they are drawn; ``in_full``: each slice with a sentence and its session."""
    return [
        {
            "name": node.name,
            "group": node.group,
            "state": "ok" if not node.reason else "drained" if node.drained else "sick",
            "reason": node.reason,
            "model": _common_model(node.devices),
            "simulated": any(device.simulated for device in node.devices),
            "free": unit.fgpu(node.free_milli),
            "there": unit.fgpu(GPU_MILLI * len(node.devices)),
            "sessions": len(node.holders),
            "sessions_url": sessions_url(node=node.name),
            "cpu": _meter(node.cpu_milli_booked / 1000, node.cpu_milli / 1000),
            "memory": _meter(node.memory_mib_booked / 1024, node.memory_mib / 1024),
            "devices": [
                _device(device, unit, colours, closed=node.reason, in_full=in_full)
                for device in node.devices
            ],
        }
        for node in nodes
    ]


def _common_model(devices: Sequence[DeviceUse]) -> dict[str, Any] | None:
    """Model and memory, when all are alike."""
    kinds = {(device.model, device.memory_mib) for device in devices}
    if len(kinds) != 1:
        return None
    model, memory_mib = kinds.pop()
    return {"count": len(devices), "model": model, "memory_mib": memory_mib}


def _meter(booked: float, there: float) -> dict[str, Any]:
    percent = 100 * booked / there if there else 0.0
    return {"booked": round(booked, 1), "there": round(there, 1), "percent": round(percent)}


def _device(
    device: DeviceUse, unit: FgpuUnit, colours: Mapping[str, int], *, closed: str, in_full: bool
) -> dict[str, Any]:
    return {
        "number": device.number,
        "model": device.model,
        "memory_mib": device.memory_mib,
        "problem": device.problem,
        "busy": device.busy,
        "free": unit.fgpu(device.free_milli),
        "free_milli": max(0, GPU_MILLI - device.booked_milli),
        "closed": closed,
        "parts": [_part(part, unit, colours, in_full) for part in device.parts],
        "told": wording.device(device, unit),
    }


def _part(part: Part, unit: FgpuUnit, colours: Mapping[str, int], in_full: bool) -> dict[str, Any]:
    holder = part.holder
    kind = "idle" if holder.idle else "stopping" if holder.status in STOPPING else ""
    if not kind and holder.status != Status.RUNNING:
        kind = "starting"
    fgpu, state = unit.fgpu(part.milli), wording.slice_state(part)
    drawn = {
        "milli": part.milli,
        "kind": f"colour-{colours.get(holder.project, wording.COLOURS)} {kind}",
        "short": wording.slice_in_short(part, fgpu, state),
    }
    if in_full:
        drawn["url"] = f"{ROOT}sessions/{holder.session_id}"
        drawn["told"] = wording.slice_in_full(part, fgpu, state)
    return drawn


def queue_lines(groups: Sequence[Waiting], unit: FgpuUnit, now: float) -> list[dict[str, Any]]:
    """Why sessions wait, the most frequent reason first."""
    pending = {"status": Status.PENDING.value}
    return [
        {
            "count": group.count,
            "fgpu": unit.fgpu(group.gpu_milli),
            "reason": wording.reason(group),
            "example": group.example,
            "longest": wording.duration(max(0.0, now - group.since)),
            "url": sessions_url(**pending, **({"project": group.project} if group.project else {})),
        }
        for group in groups
    ]


def project_lines(
    rows: Rows,
    own: Mapping[str, Mapping[str, int]],
    held: Mapping[str, Holding],
    unit: FgpuUnit,
    now: float,
    tz: tzinfo,
) -> list[dict[str, Any]]:
    """Projects in which something runs or waits, the first few of those that hold the most.

    ``own``: live sessions by status, without those below; ``held``: with them.
    """

    def weight(name: str) -> tuple[int, int, str]:
        gpu_milli = held[name].gpu_milli if name in held else 0
        return -gpu_milli, -own[name].get(Status.PENDING, 0), name

    return [
        {
            "name": name,
            "title": rows[name].title if name in rows else "",
            "running": sum(own[name].values()) - own[name].get(Status.PENDING, 0),
            "pending": own[name].get(Status.PENDING, 0),
            "held": unit.fgpu(held[name].gpu_milli) if name in held else 0.0,
            "quota": _quota(rows, name, unit, now, tz),
            "running_url": sessions_url(project=name),
            "pending_url": sessions_url(project=name, status=Status.PENDING.value),
            "query": urlencode({"project": name}),
        }
        for name in sorted(own, key=weight)[:PROJECTS_SHOWN]
    ]


def _quota(rows: Rows, name: str, unit: FgpuUnit, now: float, tz: tzinfo) -> float | None:
    """fGPU of this hour; None: unlimited."""
    if name not in rows:
        return None
    milli = quota_now(rows[name], now, tz).gpu_milli
    return None if milli == UNLIMITED else unit.fgpu(milli)
