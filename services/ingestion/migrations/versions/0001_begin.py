"""Begin: platform orders, shops, raw deliveries, and the stream's own tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from libs.stream.tables import create_stream_tables, drop_stream_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    create_stream_tables(op)
    op.create_table(
        "platform_order",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("fingerprints", postgresql.JSONB, nullable=False),
        sa.Column("cancel_request_id", sa.Text),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True)),
        sa.Column("cancel_reason", sa.Text),
        sa.CheckConstraint("state IN ('awaited', 'placed', 'cancelled')", name="platform_order_state"),
        sa.CheckConstraint("(state = 'awaited') = (version = 0)", name="platform_order_version"),
        sa.CheckConstraint("(state = 'placed') = (cancel_request_id IS NULL)", name="platform_order_cancellation"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_table(
        "shop",
        sa.Column("shop_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("secret_id", sa.Text, nullable=False),
        sa.Column("secret_wrapped", sa.Text, nullable=False),
        sa.Column("previous_wrapped", sa.Text),
        sa.Column("previous_until", sa.DateTime(timezone=True)),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "intake",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("change", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("raw_sealed", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop everything."""
    op.drop_table("intake")
    op.drop_table("shop")
    op.drop_table("platform_order")
    drop_stream_tables(op)
