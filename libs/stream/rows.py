"""How a row travels between its Struct and its table: plain columns as they are, everything else as jsonb."""

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Table

from libs.decide import Entry, Row

_PLAIN: dict[type, str] = {
    str: "text",
    int: "int8",
    bool: "bool",
    float: "float8",
    datetime: "timestamptz",
    bytes: "bytea",
}


def _plain_type(annotation: Any) -> str | None:
    """Return the Postgres type of a plain column, None for jsonb."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        inner = [arm for arm in typing.get_args(annotation) if arm is not type(None)]
        return _plain_type(inner[0]) if len(inner) == 1 else None
    return _PLAIN.get(annotation) if isinstance(annotation, type) else None


def kept(row: Row) -> bytes:
    """Return a row as a table in memory keeps it: with the keys of its objects in the order in which jsonb has them.

    A decision that goes by the order of a dict would else be one thing in memory and another over Postgres.
    """
    return msgspec.msgpack.encode(_as_jsonb(msgspec.to_builtins(row, builtin_types=(datetime, bytes))))


def _as_jsonb(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_jsonb(value[key]) for key in sorted(value, key=lambda key: (len(key.encode()), key.encode()))}
    if isinstance(value, list):
        return [_as_jsonb(item) for item in value]
    return value


class RowCodec:
    """Encodes and decodes one row type. Positions follow the Struct's field order."""

    def __init__(self, struct: type[Row] | type[Entry], table: Table) -> None:
        hints = typing.get_type_hints(struct)
        self.struct = struct
        self.table = table.name
        self.columns: tuple[str, ...] = struct.__struct_fields__
        self.key: tuple[str, ...] = struct.row_key if issubclass(struct, Row) else ()
        self.types: tuple[str, ...] = tuple(_plain_type(hints[name]) or "jsonb" for name in self.columns)
        self._json_places = [(i, self.columns[i]) for i, kind in enumerate(self.types) if kind == "jsonb"]
        self._decoders: list[tuple[str, Callable[[bytes], Any]]] = [
            (name, msgspec.json.Decoder(hints[name]).decode) for _, name in self._json_places
        ]
        self.types_by_column = dict(zip(self.columns, self.types, strict=True))
        self._encode_json = msgspec.json.Encoder().encode
        # With one name alone attrgetter gives no tuple.
        one = attrgetter(*self.columns)
        self._values: Callable[[Row | Entry], tuple[Any, ...]] = (
            one if len(self.columns) > 1 else lambda row: (one(row),)
        )

    def values(self, row: Row | Entry) -> tuple[Any, ...]:
        """Return a row's column values in order, jsonb ones as JSON bytes."""
        values = self._values(row)
        if not self._json_places:
            return values
        changed = list(values)
        for i, _ in self._json_places:
            changed[i] = self._encode_json(changed[i])
        return tuple(changed)

    def row(self, record: Sequence[Any]) -> Any:
        """Return the Struct of a record that holds the columns in order."""
        fields = dict(zip(self.columns, record, strict=True))
        for name, decode in self._decoders:
            fields[name] = decode(fields[name])
        return self.struct(**fields)

    def select(self, *, lock: bool) -> str:
        """Return the statement that loads the rows of many keys, one array parameter per key column."""
        arrays = ", ".join(f"${i}::{self.types_by_column[name]}[]" for i, name in enumerate(self.key, 1))
        names = ", ".join(f't."{name}"' for name in self.columns)
        match = " AND ".join(f't."{name}" = u."{name}"' for name in self.key)
        keys = ", ".join(f'"{name}"' for name in self.key)
        order = ", ".join(f't."{name}"' for name in self.key)
        text = f'SELECT {names} FROM unnest({arrays}) AS u({keys}) JOIN "{self.table}" t ON {match}'
        return f"{text} ORDER BY {order} FOR NO KEY UPDATE OF t" if lock else text

    def row_type(self) -> str:
        """Return the statement that makes the type of this table's rows, for one session."""
        return row_type(self.table, self.types_by_column)

    def update(self) -> str:
        """Return the statement that rewrites many rows, given as one array of `values`."""
        sets = ", ".join(f'"{name}" = u."{name}"' for name in self.columns if name not in self.key)
        match = " AND ".join(f't."{name}" = u."{name}"' for name in self.key)
        return f'UPDATE "{self.table}" t SET {sets} FROM unnest($1::pg_temp."{self.table}_row"[]) u WHERE {match}'

    def delete(self) -> str:
        """Return the statement that removes many rows, one array parameter per key column."""
        arrays = ", ".join(f"${i}::{self.types_by_column[name]}[]" for i, name in enumerate(self.key, 1))
        keys = ", ".join(f'"{name}"' for name in self.key)
        match = " AND ".join(f't."{name}" = u."{name}"' for name in self.key)
        return f'DELETE FROM "{self.table}" t USING unnest({arrays}) AS u({keys}) WHERE {match}'


def row_type(table: str, types: Mapping[str, str]) -> str:
    """Return the statement that makes the type in which rows of `table` travel, for one session.

    One array of rows costs client and server about half of what one array a column does. The table's own row type
    would do as well, but a migration may change that under a running service.
    """
    columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    return f'CREATE TYPE pg_temp."{table}_row" AS ({columns})'


def insert_rows(table: str, columns: Sequence[str]) -> str:
    """Return the statement that adds rows to `table`, given as one array of their type."""
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table}" ({names}) SELECT * FROM unnest($1::pg_temp."{table}_row"[])'
