"""Fulfillment keeps what the WMS refused for good, until it is made good."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; what was refused before stands in the outcome of its call alone."""
    op.create_table(
        "wms_refusal",
        sa.Column("task_id", sa.Text, primary_key=True),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("word", sa.Text, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("rounds", sa.BigInteger, nullable=False),
        sa.Column("telling", sa.Boolean, nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("wms_refusal")
