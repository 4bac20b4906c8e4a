"""Orders that had left before they were heard of: known, never placed."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CHECKS = {
    "platform_order_state": (
        "state IN ('awaited', 'placed', 'cancelled')",
        "state IN ('awaited', 'placed', 'cancelled', 'left')",
    ),
    "platform_order_version": (
        "(state = 'awaited') = (version = 0)",
        "(state IN ('awaited', 'left')) = (version = 0)",
    ),
    "platform_order_cancellation": (
        "(state = 'placed') = (cancel_request_id IS NULL)",
        "state = 'left' OR (state = 'placed') = (cancel_request_id IS NULL)",
    ),
}


def upgrade() -> None:
    """Let orders stand as left, whatever was said of their cancellation before."""
    for name, (_, after) in CHECKS.items():
        op.drop_constraint(name, "platform_order", type_="check")
        op.create_check_constraint(name, "platform_order", after)


def downgrade() -> None:
    """Forget such orders: the state before knows no word for them."""
    op.execute("DELETE FROM platform_order WHERE state = 'left'")
    for name, (before, _) in CHECKS.items():
        op.drop_constraint(name, "platform_order", type_="check")
        op.create_check_constraint(name, "platform_order", before)
