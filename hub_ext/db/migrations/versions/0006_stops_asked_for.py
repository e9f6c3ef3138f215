"""When a session is to be stopped because somebody has asked for it

Revision: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    # Not in a batch: SQLite would make the table anew, and what refers to its rows would go.
    op.add_column("sessions", sa.Column("ends_at", sa.Double(), nullable=True))
    op.add_column("sessions", sa.Column("ends_why", sa.String(), nullable=True))


def downgrade() -> None:
    """Back."""
    op.drop_column("sessions", "ends_why")
    op.drop_column("sessions", "ends_at")
