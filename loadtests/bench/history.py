"""A seed's rows under ever new names, as if the same orders had come many times before; and first what that takes."""

import hashlib
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# The seed's orders are sent under this prefix, so it stands in every id that is made of theirs; copies count upwards.
SEED = "h0000000"
# Columns that number rows. A copy is numbered below all there is: the relay looks after its cursor, a rebuild after
# batch 0, a reader counts on from what it saw last, and none of them meets history.
NUMBERED = frozenset({"seq", "batch_no", "entry_no", "n"})
NUMBERS_A_COPY = 10**9
TIME = "timestamp with time zone"
NULL = rb"\N"
# Buyers are known by a keyed hash of 16 bytes.
HASH = re.compile(rb"(?<![0-9a-f])([0-9a-f]{32})(?![0-9a-f])")
DISK_SHARE = 0.6
LOAD_LIMIT_S = 600.0


def name_of(copy: int) -> bytes:
    """Return the prefix that stands in a copy's ids where the seed's has SEED; of the same length, and rising."""
    return b"h%07d" % copy


class Rows:
    """The rows that the seed left in one table, as COPY's text.

    A copy has other ids, other buyers and other numbers, and lies as many lengths of the seed back in time as its
    number says. Sealed texts stay as they are: nobody opens those of a finished order.
    """

    def __init__(self, schema: str, table: str, columns: Sequence[tuple[str, str]], text: bytes, lasted: timedelta):
        self.schema, self.table = schema, table
        self.columns = [name for name, _ in columns]
        self.size_bytes = len(text)
        self._lasted = lasted
        self._pieces: list[bytes] = []
        self._numbers: list[tuple[int, int]] = []
        self._times: list[tuple[int, datetime]] = []
        self._hashes: list[tuple[int, bytes]] = []
        for line in text.split(b"\n")[:-1]:
            for (name, kind), value in zip(columns, line.split(b"\t"), strict=True):
                self._take(name, kind, value)
                self._pieces.append(b"\t")
            self._pieces[-1] = b"\n"

    def _take(self, name: str, kind: str, value: bytes) -> None:
        if value != NULL and name in NUMBERED:
            self._numbers.append((len(self._pieces), int(value)))
        elif value != NULL and kind == TIME:
            self._times.append((len(self._pieces), datetime.fromisoformat(value.decode())))
        else:
            # Odd parts are the hashes between the even ones.
            parts = HASH.split(value)
            self._hashes += [(len(self._pieces) + n, parts[n]) for n in range(1, len(parts), 2)]
            self._pieces += parts
            return
        self._pieces.append(value)

    def copy(self, number: int) -> bytes:
        """Return the rows of the copy with this number, from 1 on."""
        pieces = self._pieces.copy()
        for place, value in self._numbers:
            pieces[place] = b"%d" % (value - number * NUMBERS_A_COPY)
        for place, at in self._times:
            pieces[place] = str(at - self._lasted * number).encode()
        for place, key in self._hashes:
            pieces[place] = hashlib.blake2b(b"%d/%b" % (number, key), digest_size=16).hexdigest().encode()
        return b"".join(pieces).replace(SEED.encode(), name_of(number))

    async def copies(self, numbers: Iterable[int]) -> AsyncIterator[bytes]:
        """Yield copy after copy."""
        for number in numbers:
            yield self.copy(number)


@dataclass(frozen=True)
class Pace:
    """What storing an order took, when it was last measured."""

    bytes_per_order: float
    seconds_per_order: float


def refusal(size: int, stored: int, pace: Pace, free_bytes: int) -> str:
    """Say why so many orders are not loaded on this machine; empty if they may be."""
    more = size - stored
    needed_bytes, allowed_bytes = more * pace.bytes_per_order, DISK_SHARE * free_bytes
    seconds = more * pace.seconds_per_order
    if needed_bytes <= allowed_bytes and seconds <= LOAD_LIMIT_S:
        return ""
    return (
        f"{size:,} stored orders are refused: {more:,} more need {needed_bytes / 2**30:.1f} GiB of the "
        f"{allowed_bytes / 2**30:.1f} GiB that may be used ({DISK_SHARE:.0%} of what is free), "
        f"and {seconds / 60:.1f} minutes to load of the {LOAD_LIMIT_S / 60:.0f} allowed"
    )
