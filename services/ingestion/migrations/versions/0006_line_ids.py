"""Which lines an order has, so that a refund of one of several is not taken for one of all."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of orders known before nobody knows, so their refunds are of the whole order, as they were."""
    op.add_column("platform_order", sa.Column("line_ids", JSONB, nullable=False, server_default="[]"))
    op.alter_column("platform_order", "line_ids", server_default=None)


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("platform_order", "line_ids")
