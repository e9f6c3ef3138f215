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
    with op.batch_alter_table("nodes") as batch_op:
        batch_op.add_column(sa.Column("enforcer", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("driver", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(
            sa.Column("gpu_problem", sa.String(), nullable=False, server_default="")
        )
    with op.batch_alter_table("resource_groups") as batch_op:
        batch_op.add_column(sa.Column("enforcer", sa.String(), nullable=True))
    with op.batch_alter_table("devices") as batch_op:
        batch_op.add_column(
            sa.Column("capacity_milli", sa.Integer(), nullable=False, server_default="1000")
        )
        batch_op.add_column(
            sa.Column("mig_profile", sa.String(), nullable=False, server_default="")
        )
        batch_op.add_column(
            sa.Column("parent_uuid", sa.String(), nullable=False, server_default="")
        )
    with op.batch_alter_table("slices") as batch_op:
        batch_op.add_column(sa.Column("enforcer", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(
            sa.Column("memory_mib", sa.Integer(), nullable=False, server_default="0")
        )
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.add_column(sa.Column("alerts", sa.JSON(), nullable=False, server_default="[]"))
    op.create_table(
        "device_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
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
    for table, columns in (
        ("sessions", ("alerts",)),
        ("slices", ("enforcer", "memory_mib")),
        ("devices", ("capacity_milli", "mig_profile", "parent_uuid")),
        ("resource_groups", ("enforcer",)),
        ("nodes", ("enforcer", "driver", "gpu_problem")),
    ):
        with op.batch_alter_table(table) as batch_op:
            for column in columns:
                batch_op.drop_column(column)
