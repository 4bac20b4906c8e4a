"""What goes back to platforms: parcels they are told of, and the exposure ledger."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "ship_back",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("shop_id", sa.Text, nullable=False),
        sa.Column("platform_order_id", sa.Text, nullable=False),
        sa.Column("worst_state", sa.Text, nullable=False),
        sa.Column("reports", postgresql.JSONB, nullable=False),
        sa.Column("respent", postgresql.JSONB, nullable=False),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("worst_state IN ('failed', 'held', 'sending', 'covered', 'sent')", name="ship_back_state"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("ship_back_by_state", "ship_back", ["worst_state", "order_id"])
    op.create_table(
        "exposure",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("budget", sa.BigInteger, nullable=False),
        sa.Column("atp", sa.BigInteger),
        sa.Column("sellable", sa.BigInteger, nullable=False),
        sa.Column("figures_no", sa.BigInteger, nullable=False),
        sa.Column("figures_ms", sa.BigInteger, nullable=False),
        sa.Column("wake_ms", sa.BigInteger, nullable=False),
        sa.Column("listings", postgresql.JSONB, nullable=False),
        sa.CheckConstraint("budget >= 0", name="exposure_budget"),
        postgresql_with={"fillfactor": "60"},
    )
    op.create_table(
        "sold_order",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("shop_id", sa.Text, nullable=False),
        sa.Column("units", postgresql.JSONB, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("sold_order")
    op.drop_table("exposure")
    op.drop_table("ship_back")
