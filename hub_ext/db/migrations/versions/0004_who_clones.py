"""Groups of those who clone folders, to look again at what they may read

Revision: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward. Clones that wait are taken as those of somebody in no group."""
    with op.batch_alter_table("folder_jobs") as batch_op:
        batch_op.add_column(sa.Column("groups", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(
            sa.Column("admin", sa.Boolean(), nullable=False, server_default=sa.false())
        )


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("folder_jobs") as batch_op:
        batch_op.drop_column("groups")
        batch_op.drop_column("admin")
