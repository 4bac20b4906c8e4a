"""The tables fulfillment begins with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from libs.stream.tables import create_stream_tables, drop_stream_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_CHANGING = {"fillfactor": "60"}


def upgrade() -> None:
    """Create everything."""
    create_stream_tables(op)
    op.create_table(
        "order_file",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("assigned_version", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("tasks", JSONB, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("request_reason", sa.Text, nullable=False),
        sa.Column("amended_version", sa.BigInteger, nullable=False),
        sa.Column("amended_goods", JSONB, nullable=False),
        sa.Column("too_late", JSONB, nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'assigned', 'cancelled', 'closed')", name="order_file_state"),
        postgresql_with=_CHANGING,
    )
    _create_pick_task()
    op.create_table(
        "item",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("barcode", sa.Text, nullable=False),
        sa.Column("weight_grams", sa.BigInteger),
    )
    op.create_table(
        "device",
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )
    op.create_table(
        "waybill",
        sa.Column("carrier", sa.Text, primary_key=True),
        sa.Column("waybill", sa.Text, primary_key=True),
        sa.Column("task_id", sa.Text, nullable=False),
    )


def _create_pick_task() -> None:
    op.create_table(
        "pick_task",
        sa.Column("task_id", sa.Text, primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("requirements", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("picker", sa.Text),
        sa.Column("claim_until", sa.DateTime(timezone=True)),
        sa.Column("expected_weight_grams", sa.BigInteger),
        sa.Column("weight_grams", sa.BigInteger),
        sa.Column("carrier", sa.Text),
        sa.Column("waybill", sa.Text),
        sa.Column("services", JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'claimed', 'picked', 'packed', 'weighed', 'recheck', 'shipped', 'cancelled')",
            name="pick_task_state",
        ),
        sa.CheckConstraint("(state = 'shipped') = (waybill IS NOT NULL)", name="pick_task_shipped_with_waybill"),
        sa.CheckConstraint("(state = 'claimed') = (claim_until IS NOT NULL)", name="pick_task_claim_has_an_end"),
        postgresql_with=_CHANGING,
    )
    op.create_index("pick_task_by_warehouse", "pick_task", ["warehouse", "state", "created_at", "task_id"])
    op.create_index("pick_task_by_age", "pick_task", ["created_at", "task_id"])


def downgrade() -> None:
    """Drop everything."""
    for table in ("waybill", "device", "item", "pick_task", "order_file"):
        op.drop_table(table)
    drop_stream_tables(op)
