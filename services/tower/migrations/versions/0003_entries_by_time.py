"""An order's entries lie in the order in which they happened: by their time, then by their number."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    """Put the time into the key; entries that are there keep the time at which they were read."""
    op.drop_constraint("timeline_entry_pkey", "timeline_entry")
    op.create_primary_key("timeline_entry_pkey", "timeline_entry", ["order_id", "at", "entry_no"])


def downgrade():
    """Take the time out of the key."""
    op.drop_constraint("timeline_entry_pkey", "timeline_entry")
    op.create_primary_key("timeline_entry_pkey", "timeline_entry", ["order_id", "entry_no"])
