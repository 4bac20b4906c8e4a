"""The tables risk begins with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from libs.stream.tables import create_stream_tables, drop_stream_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_CHANGING = {"fillfactor": "80"}


def upgrade() -> None:
    """Create everything."""
    create_stream_tables(op)
    op.create_table(
        "order_risk",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("rule_version", sa.BigInteger, nullable=False),
        sa.Column("nth_of_day", sa.BigInteger, nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True)),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("requirements", JSONB, nullable=False),
        sa.Column("released", JSONB, nullable=False),
        sa.CheckConstraint("state IN ('held', 'cleared', 'rejected', 'closed')", name="order_risk_state"),
        sa.CheckConstraint("(state = 'held') = (held_at IS NOT NULL)", name="order_risk_held_at"),
        sa.CheckConstraint("(state = 'held') = (jsonb_array_length(reasons) > 0)", name="order_risk_reasons"),
        postgresql_with=_CHANGING,
    )
    op.create_index(
        "order_risk_queue", "order_risk", ["held_at", "order_id"], postgresql_where=sa.text("held_at IS NOT NULL")
    )
    op.create_table(
        "buyer_day",
        sa.Column("buyer_key", sa.Text, primary_key=True),
        sa.Column("local_day", sa.Text, primary_key=True),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.CheckConstraint("orders > 0", name="buyer_day_orders"),
        postgresql_with=_CHANGING,
    )
    op.create_table(
        "sku_cost",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("cost", sa.BigInteger),
    )
    op.create_table(
        "allowed_buyer",
        sa.Column("buyer_key", sa.Text, primary_key=True),
        sa.Column("allowed_by", sa.Text, nullable=False),
        sa.Column("allowed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    _create_rules()


def _create_rules() -> None:
    op.create_table(
        "rule_graph",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
    )
    op.create_table(
        "rule_version",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop everything."""
    for table in ("rule_version", "rule_graph", "allowed_buyer", "sku_cost", "buyer_day", "order_risk"):
        op.drop_table(table)
    drop_stream_tables(op)
