"""Projects, members, resource groups, runs, notices, audit log

Revision: 0002
Revises: 0001
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SESSION_COLUMNS = (
    "requeue",
    "run_id",
    "notice_code",
    "notice_message",
    "stops_at",
    "evicted_for",
    "dismissed",
)


def upgrade() -> None:
    """Forward. Everybody may use the first project, ``default``, without bounds, as before."""
    projects = op.create_table(
        "projects",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("created_order", sa.Integer(), nullable=False),
        sa.Column("archived_at", sa.Double(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("open_to_all", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("quota_gpu_milli", sa.Integer(), nullable=False),
        sa.Column("quota_cpu_milli", sa.Integer(), nullable=False),
        sa.Column("quota_memory_mib", sa.Integer(), nullable=False),
        sa.Column("limit_gpu_milli", sa.Integer(), nullable=False),
        sa.Column("limit_cpu_milli", sa.Integer(), nullable=False),
        sa.Column("limit_memory_mib", sa.Integer(), nullable=False),
        sa.Column("weight_gpu", sa.Double(), nullable=True),
        sa.Column("weight_cpu", sa.Double(), nullable=True),
        sa.Column("weight_memory", sa.Double(), nullable=True),
        sa.Column("reclaim_min_runtime_s", sa.Double(), nullable=True),
        sa.Column("preempt_min_runtime_s", sa.Double(), nullable=True),
        sa.Column("valid_from", sa.Double(), nullable=True),
        sa.Column("valid_until", sa.Double(), nullable=True),
        sa.Column("hours", sa.JSON(), nullable=True),
        sa.Column("stops_at_close", sa.Boolean(), nullable=False),
        sa.Column("quota_hours", sa.JSON(), nullable=True),
        sa.Column("images", sa.JSON(), nullable=True),
        sa.Column("presets", sa.JSON(), nullable=True),
        sa.Column("resource_groups", sa.JSON(), nullable=True),
        sa.Column("kinds", sa.JSON(), nullable=True),
        sa.Column("budget_gpu_h", sa.Double(), nullable=True),
        sa.Column("member_limits", sa.JSON(), nullable=False),
        sa.Column("bounds", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["parent"], ["projects.name"], name=op.f("fk_projects_parent")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_projects")),
        sa.UniqueConstraint("created_order", name=op.f("uq_projects_created_order")),
    )
    op.bulk_insert(
        projects,
        [
            {
                "name": "default",
                "title": "Everybody",
                "description": "Sessions that belong to no course, lab or team.",
                "created_at": time.time(),
                "created_order": 0,
                "version": 1,
                "open_to_all": True,
                "priority": 0,
                **dict.fromkeys(
                    (
                        "quota_gpu_milli",
                        "quota_cpu_milli",
                        "quota_memory_mib",
                        "limit_gpu_milli",
                        "limit_cpu_milli",
                        "limit_memory_mib",
                    ),
                    -1,
                ),
                "stops_at_close": False,
                "member_limits": {},
                "bounds": {},
            }
        ],
    )
    op.create_table(
        "project_members",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project"],
            ["projects.name"],
            name=op.f("fk_project_members_project"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project", "user", name=op.f("pk_project_members")),
    )
    op.create_table(
        "resource_groups",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("hours", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_resource_groups")),
    )
    op.execute("INSERT INTO resource_groups (name, title) VALUES ('default', 'Default')")
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_project", "audit", ["project"])
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("gpu_milli", sa.Integer(), nullable=False),
        sa.Column("cpu_milli", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_runs_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_session_id", "runs", ["session_id"])
    op.create_index("ix_runs_project_ended_at", "runs", ["project", "ended_at"])
    op.execute(
        'INSERT INTO runs (session_id, "user", project, gpu_milli, cpu_milli, memory_mib,'
        " started_at, ended_at)"
        ' SELECT id, "user", project, gpu_milli, cpu_milli, memory_mib, scheduled_at, ended_at'
        " FROM sessions WHERE scheduled_at IS NOT NULL"
    )
    for column in (
        sa.Column("requeue", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("notice_code", sa.String(), nullable=False, server_default=""),
        sa.Column("notice_message", sa.String(), nullable=False, server_default=""),
        sa.Column("stops_at", sa.Double(), nullable=True),
        sa.Column("evicted_for", sa.String(), nullable=True),
        sa.Column("dismissed", sa.Boolean(), nullable=False, server_default=sa.false()),
    ):
        op.add_column("sessions", column)
    op.add_column("nodes", sa.Column("labels", sa.JSON(), nullable=False, server_default="{}"))
    op.execute(
        "UPDATE sessions SET run_id = (SELECT max(runs.id) FROM runs"
        " WHERE runs.session_id = sessions.id) WHERE ended_at IS NULL"
    )


def downgrade() -> None:
    """Back."""
    op.drop_column("nodes", "labels")
    for column in _SESSION_COLUMNS:
        op.drop_column("sessions", column)
    for table in ("runs", "audit", "resource_groups", "project_members", "projects"):
        op.drop_table(table)
