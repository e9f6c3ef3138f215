"""Alembic's entry: runs on the connection that ``Database.upgrade`` hands over."""

from alembic import context

from hub_ext.db import announcement_models, folder_models, image_models  # noqa: F401 (tables)
from hub_ext.db.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
