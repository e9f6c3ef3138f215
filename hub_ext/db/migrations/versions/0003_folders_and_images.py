"""Folders that are shared, uploads, images made from sessions

Revision: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LIVE = sa.text("trashed_at IS NULL")
_OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Forward. Folders that are there stay their users'."""
    with op.batch_alter_table("folders") as batch_op:
        batch_op.drop_constraint("uq_folders_owner_name", type_="unique")
        for column in (
            sa.Column("kind", sa.String(), nullable=False, server_default="user"),
            sa.Column("members_mode", sa.String(), nullable=False, server_default="ro"),
            sa.Column("created_by", sa.String(), nullable=False, server_default=""),
            sa.Column("state", sa.String(), nullable=False, server_default="ready"),
            sa.Column("trashed_at", sa.Double(), nullable=True),
            sa.Column("trashed_by", sa.String(), nullable=True),
            sa.Column("used_bytes", sa.BigInteger(), nullable=True),
            sa.Column("used_files", sa.BigInteger(), nullable=True),
            sa.Column("measured_at", sa.Double(), nullable=True),
        ):
            batch_op.add_column(column)
    op.create_index(
        "uq_folders_live_name",
        "folders",
        ["kind", "owner", "name"],
        unique=True,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )
    op.create_table(
        "folder_shares",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("folder_id", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("invited_by", sa.String(), nullable=False),
        sa.Column("invited_at", sa.Double(), nullable=False),
        sa.Column("answered_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["folder_id"],
            ["folders.id"],
            name=op.f("fk_folder_shares_folder_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_folder_shares")),
    )
    op.create_index("ix_folder_shares_user", "folder_shares", ["user"])
    op.create_index(
        "uq_folder_shares_open",
        "folder_shares",
        ["folder_id", "user"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "folder_jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("folder_id", sa.String(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=True),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), nullable=True),
        sa.Column("files_done", sa.BigInteger(), nullable=False),
        sa.Column("files_total", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_folder_jobs")),
    )
    op.create_index("ix_folder_jobs_folder_id", "folder_jobs", ["folder_id"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("folder_id", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("overwrite", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["folder_id"], ["folders.id"], name=op.f("fk_uploads_folder_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_table(
        "storage_quotas",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "owner", name=op.f("pk_storage_quotas")),
    )
    op.create_table(
        "session_identities",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["sessions.id"],
            name=op.f("fk_session_identities_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_identities")),
    )
    op.create_table(
        "images",
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("visibility", sa.String(), nullable=False),
        sa.Column("projects", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_images")),
    )
    op.create_table(
        "image_requests",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("container_id", sa.String(), nullable=True),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("parent", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("diff", sa.JSON(), nullable=True),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("requested_at", sa.Double(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_requests")),
    )
    op.create_index("ix_image_requests_state", "image_requests", ["state"])
    op.create_index("ix_image_requests_user", "image_requests", ["user"])


def downgrade() -> None:
    """Back: folders of projects, the trash, shares, uploads and requests are forgotten."""
    for table in ("image_requests", "images", "storage_quotas", "uploads", "folder_jobs"):
        op.drop_table(table)
    op.drop_table("session_identities")
    op.drop_table("folder_shares")
    op.drop_index("uq_folders_live_name", "folders")
    op.execute("DELETE FROM folders WHERE kind <> 'user' OR trashed_at IS NOT NULL")
    with op.batch_alter_table("folders") as batch_op:
        for column in (
            "kind",
            "members_mode",
            "created_by",
            "state",
            "trashed_at",
            "trashed_by",
            "used_bytes",
            "used_files",
            "measured_at",
        ):
            batch_op.drop_column(column)
        batch_op.create_unique_constraint("uq_folders_owner_name", ["owner", "name"])
