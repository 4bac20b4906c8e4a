"""What refunds did to an order, so that the last line asked back ends it and a refund taken back is not passed over."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of orders and refunds that are there it counts as not having happened."""
    op.add_column("platform_order", sa.Column("part_refund_id", sa.Text))
    for table, column in (("platform_order", "refunded"), ("platform_refund", "withdrawn")):
        op.add_column(table, sa.Column(column, sa.Boolean, nullable=False, server_default=sa.false()))
        op.alter_column(table, column, server_default=None)


def downgrade() -> None:
    """Remove the columns."""
    op.drop_column("platform_refund", "withdrawn")
    op.drop_column("platform_order", "refunded")
    op.drop_column("platform_order", "part_refund_id")
