"""Announcements, start times, material of a course, and what pages of many sessions look up

Revision: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "announcements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("until", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project"],
            ["projects.name"],
            name=op.f("fk_announcements_project"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcements")),
    )
    op.create_index("ix_announcements_project", "announcements", ["project"])
    op.create_table(
        "announcement_dismissals",
        sa.Column("announcement_id", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["announcement_id"],
            ["announcements.id"],
            name=op.f("fk_announcement_dismissals_announcement_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("announcement_id", "user", name=op.f("pk_announcement_dismissals")),
    )
    # Not in a batch: SQLite would make the table anew, and what refers to its rows would go.
    op.add_column("sessions", sa.Column("not_before", sa.Double(), nullable=True))
    op.create_index("ix_sessions_project_order", "sessions", ["project", "order"])
    op.create_index("ix_runs_started_at", "runs", ["started_at"])
    op.add_column("projects", sa.Column("materials_folder_id", sa.String(), nullable=True))


def downgrade() -> None:
    """Back."""
    op.drop_column("projects", "materials_folder_id")
    op.drop_index("ix_runs_started_at", "runs")
    op.drop_index("ix_sessions_project_order", "sessions")
    op.drop_column("sessions", "not_before")
    op.drop_table("announcement_dismissals")
    op.drop_table("announcements")
