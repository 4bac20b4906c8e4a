"""Notification's first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from libs.stream.tables import create_stream_tables, drop_stream_tables

revision = "0001"
down_revision = None

_HOT = {"fillfactor": "80"}


def upgrade() -> None:
    """Create the stream's tables and notification's own."""
    create_stream_tables(op)
    op.create_table(
        "recipient",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("known", sa.Boolean, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("buyer_key", sa.Text, nullable=False),
        sa.Column("waiting", JSONB, nullable=False),
        postgresql_with=_HOT,
    )
    op.create_table(
        "notice",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("notice_id", sa.Text, primary_key=True),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("medium", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("template_version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.CheckConstraint("state IN ('sending', 'sent', 'failed', 'opted_out')", name="notice_state"),
        postgresql_with=_HOT,
    )
    op.create_table(
        "digest",
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("in_flight", sa.Boolean, nullable=False),
        sa.Column("waking", sa.Boolean, nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pending", JSONB, nullable=False),
        postgresql_with=_HOT,
    )
    op.create_table(
        "template",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("provider_code", sa.Text, nullable=False),
    )
    op.create_table(
        "template_version",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("provider_code", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "opt_out",
        sa.Column("buyer_key", sa.Text, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop notification's tables and the stream's."""
    for name in ("opt_out", "template_version", "template", "digest", "notice", "recipient"):
        op.drop_table(name)
    drop_stream_tables(op)
