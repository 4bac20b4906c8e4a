"""The change that a list told of, so that a document which is older than it is asked for again."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of what was listed before, no change is awaited."""
    op.add_column("subject", sa.Column("change_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("subject", "change_at")
