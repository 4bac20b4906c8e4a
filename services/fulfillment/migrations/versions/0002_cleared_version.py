"""Fulfillment notes which amendment of an order risk has cleared."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of orders known before, whatever was heard counts as cleared, as it did then."""
    op.add_column("order_file", sa.Column("cleared_version", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE order_file SET cleared_version = version")
    op.alter_column("order_file", "cleared_version", server_default=None)


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("order_file", "cleared_version")
