"""Fulfillment keeps what risk requires of the newest change of an order that it cleared."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of changes cleared before, nobody kept what they require."""
    op.add_column("order_file", sa.Column("cleared_requirements", JSONB, nullable=False, server_default="[]"))
    op.alter_column("order_file", "cleared_requirements", server_default=None)


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("order_file", "cleared_requirements")
