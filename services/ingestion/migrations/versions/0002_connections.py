"""Shops on platforms: how they are connected, what they told, what is parked, and how far their orders are complete."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of connections."""
    op.create_table(
        "connection",
        sa.Column("shop_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("seller_id", sa.Text, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("sign_in", sa.Text, nullable=False),
        sa.Column("push_url", sa.Text, nullable=False),
        sa.Column("access_digest", sa.Text, nullable=False),
        sa.Column("access_wrapped", sa.Text, nullable=False),
        sa.Column("token_wrapped", sa.Text),
        sa.Column("token_version", sa.BigInteger, nullable=False),
        sa.Column("token_expires_at", sa.DateTime(timezone=True)),
        sa.Column("refresh_expires_at", sa.DateTime(timezone=True)),
        sa.Column("scopes", postgresql.JSONB, nullable=False),
        sa.Column("token_refused_at", sa.DateTime(timezone=True)),
        sa.Column("asks", sa.Text),
        sa.Column("asks_since", sa.DateTime(timezone=True)),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "sign_in",
        sa.Column("state_hash", sa.Text, primary_key=True),
        sa.Column("shop_id", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "subject",
        sa.Column("shop_id", sa.Text, primary_key=True),
        sa.Column("about", sa.Text, primary_key=True),
        sa.Column("subject_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True)),
        sa.Column("read_at", sa.DateTime(timezone=True)),
        sa.Column("listed_at", sa.DateTime(timezone=True)),
        sa.Column("known_at", sa.DateTime(timezone=True)),
        sa.Column("pending", sa.Boolean, nullable=False),
        sa.Column("pending_since", sa.DateTime(timezone=True)),
        sa.Column("again", sa.Boolean, nullable=False),
        sa.Column("fetch_no", sa.BigInteger, nullable=False),
        sa.Column("open_step", sa.BigInteger),
        sa.Column("waits", sa.BigInteger, nullable=False),
        sa.Column("parked", sa.Boolean, nullable=False),
        sa.Column("message_ids", postgresql.JSONB, nullable=False),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "parked_document",
        sa.Column("shop_id", sa.Text, primary_key=True),
        sa.Column("about", sa.Text, primary_key=True),
        sa.Column("subject_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("raw_sealed", sa.Text, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "platform_refund",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("refund_id", sa.Text, primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("after_shipping", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "progress",
        sa.Column("shop_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("evidence", postgresql.JSONB, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("covered_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("complete_until", sa.DateTime(timezone=True)),
        sa.Column("step_number", sa.BigInteger, nullable=False),
        sa.Column("steps", postgresql.JSONB, nullable=False),
        sa.Column("open", postgresql.JSONB, nullable=False),
        sa.Column("days", postgresql.JSONB, nullable=False),
        sa.Column("gaps", postgresql.JSONB, nullable=False),
        sa.Column("late_orders", sa.BigInteger, nullable=False),
        sa.Column("trouble", sa.Text),
        sa.Column("trouble_since", sa.DateTime(timezone=True)),
        sa.Column("told_at", sa.DateTime(timezone=True)),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "push",
        sa.Column("push_id", sa.Text, primary_key=True),
        sa.Column("shop_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("hints", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("raw_sealed", sa.Text, nullable=False),
    )
    op.create_index(
        "subject_open", "subject", ["shop_id", "open_step"], postgresql_where=sa.text("open_step IS NOT NULL")
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("push")
    op.drop_table("progress")
    op.drop_table("platform_refund")
    op.drop_table("parked_document")
    op.drop_table("subject")
    op.drop_table("sign_in")
    op.drop_table("connection")
