"""Inventory's first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from libs.stream.tables import create_stream_tables, drop_stream_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("pool", "reservation", "waiting", "sku", "warehouse", "inbound", "transfer", "ledger")


def upgrade():
    """Create everything."""
    create_stream_tables(op)
    hot = {"fillfactor": "60", "autovacuum_vacuum_scale_factor": "0.02", "autovacuum_vacuum_threshold": "1000"}
    op.create_table(
        "pool",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("defined", sa.Boolean, nullable=False),
        sa.Column("on_hand", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("deficit", sa.BigInteger, nullable=False),
        sa.Column("inbound", sa.BigInteger, nullable=False),
        sa.Column("inbound_points", sa.BigInteger, nullable=False),
        sa.Column("in_transit", sa.BigInteger, nullable=False),
        sa.Column("sellable_inbound_percent", sa.BigInteger, nullable=False),
        sa.Column("allowance", sa.BigInteger, nullable=False),
        sa.Column("safety_percent", sa.BigInteger),
        sa.Column("crossed", sa.Boolean, nullable=False),
        sa.Column("sales_since_day", sa.BigInteger, nullable=False),
        sa.Column("sales_day", sa.BigInteger, nullable=False),
        sa.Column("sales", JSONB, nullable=False),
        sa.Column("warehouses", JSONB, nullable=False),
        sa.Column("waiting", JSONB, nullable=False),
        sa.Column("published", sa.Text, nullable=False),
        sa.CheckConstraint(
            "on_hand >= 0 AND reserved >= 0 AND deficit >= 0 AND inbound >= 0 AND inbound_points >= 0 "
            "AND in_transit >= 0 AND allowance >= 0 AND sellable_inbound_percent BETWEEN 0 AND 100",
            name="pool_not_negative",
        ),
        sa.CheckConstraint(
            "reserved <= on_hand + in_transit + allowance + inbound_points * sellable_inbound_percent / 10000 "
            "+ deficit",
            name="pool_not_oversold",
        ),
        sa.CheckConstraint(
            "NOT jsonb_path_exists(warehouses, '$.* ? (@.on_hand < 0 || @.assigned < 0 || @.deficit < 0 "
            "|| @.assigned > @.on_hand + @.deficit)')",
            name="pool_warehouses_not_overassigned",
        ),
        postgresql_with=hot,
    )
    op.create_table(
        "reservation",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("plan", sa.BigInteger, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("shippable", JSONB, nullable=False),
        sa.Column("parcels", JSONB, nullable=False),
        sa.Column("requirements", JSONB, nullable=False),
        sa.Column("wait", JSONB, nullable=False),
        sa.CheckConstraint(
            "state IN ('reserved', 'short', 'assigned', 'released', 'closed')", name="reservation_state"
        ),
        postgresql_with={"fillfactor": "40"},
    )
    op.create_table(
        "waiting",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("warehouse", sa.Text, primary_key=True),
        sa.Column("ticket", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("skus", JSONB, nullable=False),
    )
    op.create_table(
        "sku",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("barcode", sa.Text, nullable=False),
        sa.Column("cost", sa.BigInteger),
        sa.Column("weight_grams", sa.BigInteger),
    )
    op.create_table(
        "warehouse",
        sa.Column("warehouse", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("province_code", sa.Text, nullable=False),
    )
    op.create_table(
        "inbound",
        sa.Column("inbound_id", sa.Text, primary_key=True),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("yield_percent", sa.BigInteger, nullable=False),
        sa.Column("eta", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.CheckConstraint("received BETWEEN 0 AND quantity", name="inbound_received"),
        sa.Index("inbound_open", "sku", "eta", postgresql_where=sa.text("state = 'open'")),
    )
    op.create_table(
        "transfer",
        sa.Column("transfer_id", sa.Text, primary_key=True),
        sa.Column("from_warehouse", sa.Text, nullable=False),
        sa.Column("to_warehouse", sa.Text, nullable=False),
        sa.Column("items", JSONB, nullable=False),
        sa.Column("received", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("eta", sa.DateTime(timezone=True)),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True)),
        sa.Index(
            "transfer_in_transit",
            sa.text("items jsonb_path_ops"),
            postgresql_using="gin",
            postgresql_where=sa.text("state = 'in_transit'"),
        ),
    )
    op.create_table(
        "ledger",
        sa.Column("cause", sa.Text, primary_key=True),
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("warehouse", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("delta", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.CheckConstraint("kind IN ('on_hand', 'reserved', 'assigned', 'inbound')", name="ledger_kind"),
    )


def downgrade():
    """Drop everything."""
    for name in reversed(TABLES):
        op.drop_table(name)
    drop_stream_tables(op)
