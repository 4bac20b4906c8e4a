"""What all tables and lists have in common: one set of tables, pages with an end, cursors that cannot be made up."""

import base64
import binascii

from sqlalchemy import MetaData

PAGE_LIMIT_ROWS = 200
METADATA = MetaData()


class BadCursor(ValueError):
    """The cursor is none that a page gave out."""


def cursor_of(key: str) -> str:
    """Return the cursor that stands for a page's last key."""
    return base64.urlsafe_b64encode(key.encode()).decode("ascii")


def key_after(cursor: str) -> str:
    """Return the key that a cursor stands for."""
    try:
        key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        key = ""
    if not key.isprintable() or not key:
        raise BadCursor("not a cursor that a page gave out")
    return key
