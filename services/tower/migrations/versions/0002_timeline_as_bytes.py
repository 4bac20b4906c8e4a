"""A timeline entry keeps the event's own bytes; its topic and reason follow from them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    """Keep bytes, drop what follows from them."""
    op.drop_column("timeline_entry", "topic")
    op.drop_column("timeline_entry", "why_zh")
    op.drop_column("timeline_entry", "why_en")
    op.alter_column(
        "timeline_entry", "payload", type_=sa.LargeBinary, postgresql_using="convert_to(payload::text, 'UTF8')"
    )


def downgrade():
    """Bring the columns back, empty: what they said follows from the payload."""
    op.alter_column("timeline_entry", "payload", type_=JSONB, postgresql_using="convert_from(payload, 'UTF8')::jsonb")
    for name in ("topic", "why_zh", "why_en"):
        op.add_column("timeline_entry", sa.Column(name, sa.Text, nullable=False, server_default=""))
