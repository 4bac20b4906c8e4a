"""A shop's own codes of carriers on its platform."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; shops that are there have none of their own."""
    op.add_column("connection", sa.Column("carriers", JSONB, nullable=False, server_default="{}"))
    op.alter_column("connection", "carriers", server_default=None)


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("connection", "carriers")
