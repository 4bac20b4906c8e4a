"""Routing's first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from libs.stream.tables import create_stream_tables, drop_stream_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    """Create everything."""
    create_stream_tables(op)
    op.create_table(
        "order_route",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("cleared_version", sa.BigInteger, nullable=False),
        sa.Column("reserved_version", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.Boolean, nullable=False),
        sa.Column("plan", sa.BigInteger, nullable=False),
        sa.Column("plan_version", sa.BigInteger, nullable=False),
        sa.Column("replans", sa.BigInteger, nullable=False),
        sa.Column("region", sa.Text),
        sa.Column("province_code", sa.Text),
        sa.Column("city_code", sa.Text),
        sa.Column("district_code", sa.Text),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("requirements", JSONB, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("shippable", JSONB, nullable=False),
        sa.Column("override_warehouse", sa.Text),
        sa.Column("override_split", sa.Boolean, nullable=False),
        sa.Column("override_by", sa.Text, nullable=False),
        sa.Column("blocked_by", sa.Text),
        sa.Column("blocked_at", sa.DateTime(timezone=True)),
        sa.Column("blocked_rule_version", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.Text, nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'planned', 'assigned', 'blocked', 'closed')", name="order_route_state"
        ),
        sa.CheckConstraint("(state = 'blocked') = (blocked_at IS NOT NULL)", name="order_route_blocked_at"),
        postgresql_with={"fillfactor": "60"},
    )
    op.create_index(
        "order_route_blocked",
        "order_route",
        ["blocked_at", "order_id"],
        postgresql_where=sa.text("blocked_at IS NOT NULL"),
    )
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
    op.create_table(
        "route_decision",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("plan", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("rule_version", sa.BigInteger, nullable=False),
        sa.Column("why_zh", sa.Text, nullable=False),
        sa.Column("why_en", sa.Text, nullable=False),
        sa.Column("parcels", JSONB, nullable=False),
        sa.Column("missing", JSONB, nullable=False),
        sa.Column("transfers", JSONB, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
    )


def downgrade():
    """Drop everything."""
    for table in ("route_decision", "rule_version", "rule_graph", "order_route"):
        op.drop_table(table)
    drop_stream_tables(op)
