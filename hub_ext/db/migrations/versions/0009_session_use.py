"""What sessions use over time

Revision: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "session_use",
        sa.Column("session_order", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("span_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("measured_s", sa.Integer(), nullable=False),
        sa.Column("gpu_memory_mib", sa.Integer(), nullable=True),
        sa.Column("gpu_permille", sa.Integer(), nullable=True),
        sa.Column("cpu_milli", sa.Integer(), nullable=True),
        sa.Column("memory_mib", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("session_order", "span_s", "at", name=op.f("pk_session_use")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_session_use_span_s_at", "session_use", ["span_s", "at"])


def downgrade() -> None:
    """Back."""
    op.drop_table("session_use")
