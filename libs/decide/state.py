"""The rows one batch may look at and change, loaded before the first decision and saved after the last."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, cast

import msgspec

Key = tuple[Any, ...]


class Row(msgspec.Struct, kw_only=True):
    """A keyed row of a service's table. Change its fields, then `state.put(row)`; without the put nothing is saved.

    Fields of type str, int, bool, float, bytes, datetime (or None) are columns; every other type is a jsonb column.
    """

    row_key: ClassVar[tuple[str, ...]] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an append-only table: written once, never loaded by a decision."""


R = TypeVar("R", bound=Row)
Needs = Mapping[type[Row], Collection[Key]]


class NotLoaded(LookupError):
    """A decision asked for a row that its `needs` did not declare: a mistake in the service, not in the message."""


def key_of(row: Row) -> Key:
    """Return the key of a row."""
    kind = type(row)
    return (_key_getters.get(kind) or _key_getter(kind))(row)


def _key_getter(kind: type[Row]) -> Callable[[Row], Key]:
    names = kind.row_key
    if len(names) == 1:
        one = attrgetter(names[0])
        _key_getters[kind] = lambda row: (one(row),)
    else:
        _key_getters[kind] = attrgetter(*names)
    return _key_getters[kind]


_key_getters: dict[type[Row], Callable[[Row], Key]] = {}


def merge_needs(all_needs: Iterable[Needs]) -> dict[type[Row], set[Key]]:
    """Return the union of what many messages need, table by table."""
    merged: dict[type[Row], set[Key]] = {}
    for needs in all_needs:
        for table, keys in needs.items():
            merged.setdefault(table, set()).update(keys)
    return merged


class State:
    """What a batch's decisions see: `get` finds loaded rows, `put` marks one for saving, `append` adds an entry."""

    __slots__ = ("_appended", "_dirty", "_loaded", "_stored")

    def __init__(self) -> None:
        self._loaded: dict[type[Row], dict[Key, Row | None]] = {}
        self._stored: dict[type[Row], set[Key]] = {}
        self._dirty: dict[type[Row], dict[Key, Row | None]] = {}
        self._appended: dict[type[Entry], list[Entry]] = {}

    def fill(self, table: type[Row], keys: Iterable[Key], rows: Iterable[Row]) -> None:
        """Take in what the store found for `keys`; a key without a row is known to be absent."""
        known = self._loaded.setdefault(table, {})
        for key in keys:
            known.setdefault(key, None)
        stored = self._stored.setdefault(table, set())
        for row in rows:
            key = key_of(row)
            known[key] = row
            stored.add(key)

    def missing(self, needs: Needs) -> dict[type[Row], set[Key]]:
        """Return the part of `needs` that is not loaded yet."""
        wanted: dict[type[Row], set[Key]] = {}
        for table, keys in needs.items():
            known = self._loaded.get(table, {})
            absent = {key for key in keys if key not in known}
            if absent:
                wanted[table] = absent
        return wanted

    def get(self, table: type[R], *key: Any) -> R | None:
        """Return the row, None if there is none, NotLoaded if nobody asked for it beforehand."""
        try:
            return cast("R | None", self._loaded[table][key])
        except KeyError:
            raise NotLoaded(f"{table.__name__}{key!r} was not declared in needs") from None

    def put(self, row: Row) -> None:
        """Save `row` (new or changed) with this batch."""
        key = key_of(row)
        table = type(row)
        try:
            self._loaded[table][key] = row
            self._dirty[table][key] = row
        except KeyError:
            self._loaded.setdefault(table, {})[key] = row
            self._dirty.setdefault(table, {})[key] = row

    def delete(self, row: Row) -> None:
        """Remove `row` with this batch."""
        key = key_of(row)
        table = type(row)
        self._loaded.setdefault(table, {})[key] = None
        self._dirty.setdefault(table, {})[key] = None

    def append(self, entry: Entry) -> None:
        """Add one row to an append-only table."""
        self._appended.setdefault(type(entry), []).append(entry)

    def changed(self, table: type[R]) -> list[R]:
        """Return the rows of `table` that this batch changed so far, in the order of their first change."""
        return [cast("R", row) for row in self._dirty.get(table, {}).values() if row is not None]

    def inserts(self) -> Iterator[tuple[type[Row], list[Row]]]:
        """Yield, table by table, the new rows."""
        for table, rows in self._dirty.items():
            stored = self._stored.get(table, set())
            found = [row for key, row in rows.items() if row is not None and key not in stored]
            if found:
                yield table, found

    def updates(self) -> Iterator[tuple[type[Row], list[Row]]]:
        """Yield, table by table, the changed rows stored before, sorted by key so that locks have one order."""
        for table, rows in self._dirty.items():
            stored = self._stored.get(table, set())
            found = [row for key, row in rows.items() if row is not None and key in stored]
            if found:
                yield table, sorted(found, key=key_of)

    def deletes(self) -> Iterator[tuple[type[Row], list[Key]]]:
        """Yield, table by table, the keys of stored rows that go."""
        for table, rows in self._dirty.items():
            stored = self._stored.get(table, set())
            found = sorted(key for key, row in rows.items() if row is None and key in stored)
            if found:
                yield table, found

    def appended(self) -> Iterator[tuple[type[Entry], list[Entry]]]:
        """Yield, table by table, the entries to add, in order."""
        yield from self._appended.items()
