"""Orders that a platform wants accepted, and its word on each."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "acceptance",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("shop_id", sa.Text, nullable=False),
        sa.Column("platform_order_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("word", sa.Text, nullable=False),
        sa.Column("accept_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('refused', 'accepting', 'cancelled', 'accepted')", name="acceptance_state"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("acceptance_by_state", "acceptance", ["state", "order_id"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("acceptance")
