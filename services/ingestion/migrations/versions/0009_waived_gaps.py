"""Day numbers that an operator vouches for, so that one which was never given out does not hold a shop for ever."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nothing was waived before."""
    op.add_column("progress", sa.Column("waived", JSONB, nullable=False, server_default="[]"))
    op.alter_column("progress", "waived", server_default=None)


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("progress", "waived")
