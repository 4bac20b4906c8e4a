"""The one place where the wall clock is read."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time now, in UTC, with its zone."""
    return datetime.now(UTC)  # noqa: TID251 - everything else is handed the time from here
