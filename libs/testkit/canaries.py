"""Finds out where personal data went: unique values go in, and every form they could come out in is looked for."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, quote_plus

import msgspec

CHUNK_BYTES = 8 * 1024 * 1024
SHORTEST_BYTES = 6
HASHES = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True)
class Sighting:
    """A canary that was seen: which, where, in which form, and what stood around it."""

    name: str
    where: str
    form: str
    around: str

    def __str__(self) -> str:
        return f"{self.name} in {self.where} as {self.form}: …{self.around}…"


class Canaries:
    """Unique values by name, each known by its text, its encodings and its unkeyed hashes, which can be tried out."""

    def __init__(self, values: Mapping[str, str], only: tuple[str, ...] = ()) -> None:
        """Take values by name; `only` these forms are looked for, all of them when none is named."""
        assert all(len(value.encode()) >= SHORTEST_BYTES for value in values.values()), "short texts occur by chance"
        self.values = dict(values)
        self._forms: dict[bytes, tuple[str, str]] = {}
        for name, value in values.items():
            for form, raw in forms(value):
                if not only or form in only:
                    self._forms.setdefault(raw.lower(), (name, form))
        self._longest_bytes = max(map(len, self._forms))

    def search(self, where: str, content: bytes | str) -> Iterator[Sighting]:
        """Yield each form of each canary that is in `content`, at its first place."""
        raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        lowered = raw.lower()
        for looked_for, (name, form) in self._forms.items():
            at = lowered.find(looked_for)
            if at >= 0:
                around = raw[max(0, at - 40) : at + len(looked_for) + 20]
                yield Sighting(name, where, form, around.decode("utf-8", "replace"))

    def search_file(self, path: Path) -> Iterator[Sighting]:
        """Yield every canary in a file, however large it is."""
        before = b""
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield from self.search(str(path), before + chunk)
                before = chunk[-self._longest_bytes :]


def forms(value: str) -> Iterator[tuple[str, bytes]]:
    """Yield the forms a text could be stored or sent in."""
    raw = value.encode()
    yield "text", raw
    yield "JSON escapes", msgspec.json.encode(value)[1:-1]
    yield "JSON escapes", "".join(rf"\u{unit:04x}" for unit in _units(value)).encode()
    yield "URL", quote(value, safe="").encode()
    yield "URL form", quote_plus(value).encode()
    for encoding in ("utf-16-le", "utf-16-be", "gb18030"):
        yield encoding, value.encode(encoding)
    yield "hex", raw.hex().encode()
    yield "hex of UTF-16", value.encode("utf-16-le").hex().encode()
    yield "reversed", value[::-1].encode()
    for encoding in ("utf-8", "utf-16-le"):
        yield from ((f"base64 of {encoding}", each) for each in _base64(value.encode(encoding)))
    for algorithm in HASHES:
        digest = hashlib.new(algorithm, raw, usedforsecurity=False)
        yield algorithm, digest.hexdigest().encode()
        yield f"{algorithm} in base64", base64.b64encode(digest.digest()).rstrip(b"=")
    if value.isdigit():
        for separator in "- .":
            yield "digits in groups", separator.join(_groups(value)).encode()


def _units(value: str) -> list[int]:
    raw = value.encode("utf-16-be")
    return [high << 8 | low for high, low in zip(raw[::2], raw[1::2], strict=True)]


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield what stays the same of the text's base64, wherever in a longer text it begins."""
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * shift + raw)
            first = (0, 2, 3)[shift]
            last = (shift + len(raw)) * 8 // 6
            yield encoded[first:last]


def _groups(value: str) -> list[str]:
    places = [0, 3, 7, len(value)]
    return [value[start:end] for start, end in pairwise(places)]
