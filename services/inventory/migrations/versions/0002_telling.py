"""Levels are told together: when it was done last, and what changed since."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    """Create the row's table."""
    op.create_table(
        "telling",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("told_at", sa.DateTime(timezone=True)),
        sa.Column("skus", JSONB, nullable=False),
        postgresql_with={"fillfactor": "50"},
    )


def downgrade():
    """Drop it."""
    op.drop_table("telling")
