"""What of a saved image could not be searched for secrets

Revision: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    with op.batch_alter_table("image_requests") as batch_op:
        batch_op.add_column(sa.Column("unsearched", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("image_requests") as batch_op:
        batch_op.drop_column("unsearched")
