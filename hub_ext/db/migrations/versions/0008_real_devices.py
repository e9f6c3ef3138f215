"""Enforcers, MIG instances, device events, alerts of sessions

Revision: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    # Not in batches: SQLite would make the tables anew, and what refers to their rows would go.
    for table, columns in _columns().items():
        for column in columns:
            op.add_column(table, column)
    op.create_table(
        "device_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=True),
        sa.Column("uuid", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_events")),
    )
    op.create_index("ix_device_events_node", "device_events", ["node", "id"])


def downgrade() -> None:
    """Back."""
    op.drop_table("device_events")
    for table, columns in _columns().items():
        for column in columns:
            op.drop_column(table, column.name)


def _columns() -> dict[str, list[sa.Column[object]]]:
    def text(name: str) -> sa.Column[object]:
        return sa.Column(name, sa.String(), nullable=False, server_default="")

    def number(name: str, default: str) -> sa.Column[object]:
        return sa.Column(name, sa.Integer(), nullable=False, server_default=default)

    return {
        "nodes": [sa.Column("enforcer", sa.String()), text("driver"), text("gpu_problem")],
        "resource_groups": [sa.Column("enforcer", sa.String())],
        "devices": [number("capacity_milli", "1000"), text("mig_profile"), text("parent_uuid")],
        "slices": [text("enforcer"), number("memory_mib", "0")],
        "sessions": [sa.Column("alerts", sa.JSON(), nullable=False, server_default="[]")],
    }
