"""Risk keeps the facts that its rules failed on, to judge them again when a reviewer releases the order."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of orders held before nobody kept the facts, so a release clears them, as it did then."""
    op.add_column("order_risk", sa.Column("unjudged", JSONB, nullable=False, server_default="{}"))
    op.alter_column("order_risk", "unjudged", server_default=None)


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("order_risk", "unjudged")
