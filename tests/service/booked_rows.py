"""Sessions that are booked already, written straight into the tables."""

from __future__ import annotations

import time
import uuid
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, RunRow, SessionRow, SliceRow


def book(
    db: Session,
    node: str,
    parts: dict[int, int],
    *,
    status: str = "RUNNING",
    enforcer: str = "",
    **values: Any,
) -> SessionRow:
    """A session that holds ``parts`` (milli-GPU by device) of a node, with its open run."""
    order = (db.scalar(select(func.max(SessionRow.order))) or 0) + 1
    shape = {"gpu_milli": sum(parts.values()), "cpu_milli": 1000, "memory_mib": 1024}
    common = {"user": f"user{order}", "project": "default", **shape}
    row = SessionRow(
        id=uuid.uuid4().hex,
        order=order,
        server_name="",
        name="work",
        kind="interactive",
        status=status,
        image="apportion/base:test",
        image_title="Base",
        options={},
        mounts=[],
        submitted_at=time.time(),
        scheduled_at=time.time(),
        running_at=time.time(),
        changed_at=time.time(),
        node=node,
        **{**common, **values},
    )
    db.add(row)
    db.flush()
    run = RunRow(session_id=row.id, started_at=time.time(), **{**common, **_of_run(values)})
    db.add(run)
    db.flush()
    row.run_id = run.id
    for device, milli in parts.items():
        there = db.get(DeviceRow, (node, device))
        db.add(
            SliceRow(
                session_id=row.id,
                node=node,
                device=device,
                uuid=there.uuid if there else "GPU-none",
                milli=milli,
                simulated=there is None or there.simulated,
                enforcer=enforcer,
                memory_mib=milli * there.memory_mib // 1000 if there else 0,
            )
        )
    db.flush()
    return row


def _of_run(values: dict[str, Any]) -> dict[str, Any]:
    columns = {"user", "project", "gpu_milli", "cpu_milli", "memory_mib"}
    return {key: value for key, value in values.items() if key in columns}
