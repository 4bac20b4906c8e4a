"""The tower's first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from libs.stream.tables import create_stream_tables, drop_stream_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the stream's tables and the tower's own."""
    create_stream_tables(op)
    op.create_table(
        "order_view",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("shop_id", sa.Text, nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("total", sa.BigInteger, nullable=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("risk", sa.Text, nullable=False),
        sa.Column("stock", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("assigned", JSONB, nullable=False),
        sa.Column("tasks", JSONB, nullable=False),
        sa.Column("warehouses", JSONB, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("stage_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pick_task_at", sa.DateTime(timezone=True), nullable=True),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("order_view_stage", "order_view", ["stage", "stage_since"])
    op.create_table(
        "stage_count",
        sa.Column("stage", sa.Text, primary_key=True),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.CheckConstraint("orders >= 0", name="stage_count_orders"),
        postgresql_with={"fillfactor": "10"},
    )
    op.create_table(
        "parked_count",
        sa.Column("origin_topic", sa.Text, primary_key=True),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("behind", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        postgresql_with={"fillfactor": "10"},
    )
    op.create_table(
        "timeline_entry",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("entry_no", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("why_zh", sa.Text, nullable=False),
        sa.Column("why_en", sa.Text, nullable=False),
    )
    op.create_table(
        "pick_latency",
        sa.Column("entry_no", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pick_task_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop the tower's tables and the stream's."""
    for name in ("pick_latency", "timeline_entry", "parked_count", "stage_count", "order_view"):
        op.drop_table(name)
    drop_stream_tables(op)
