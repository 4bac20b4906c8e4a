"""The search finds a canary in every form it could come out in, and nothing where there is none."""

import base64
import hashlib
from pathlib import Path
from urllib.parse import quote

import pytest

from libs.testkit.canaries import CHUNK_BYTES, Canaries

PHONE, NAME = "19973014821", "欧阳金丝雀"
CANARIES = Canaries({"phone": PHONE, "name": NAME})


def names(content: bytes | str) -> set[str]:
    return {sighting.name for sighting in CANARIES.search("here", content)}


@pytest.mark.parametrize(("name", "value"), CANARIES.values.items())
@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc", b"abcd"])
def test_every_form_is_found_wherever_it_begins(name: str, value: str, before: bytes) -> None:
    raw = value.encode()
    for hidden in (
        raw,
        base64.b64encode(before + raw + b"after"),
        base64.urlsafe_b64encode(before + raw + b"after"),
        base64.b64encode(before + raw),
        base64.b64encode(before + before + value.encode("utf-16-le")),
        raw.hex().upper().encode(),
        value.encode("utf-16-le"),
        value.encode("utf-16-be"),
        value.encode("gb18030"),
        quote(value).lower().encode(),
        "".join(rf"\u{ord(letter):04X}" for letter in value).encode(),
        hashlib.sha256(raw).hexdigest().encode(),
        base64.b64encode(hashlib.md5(raw).digest()),
        value[::-1].encode(),
    ):
        assert name in names(before + hidden + before), hidden


def test_a_phone_in_groups_is_found() -> None:
    for written in ("199-7301-4821", "199 7301 4821", "199.7301.4821"):
        assert names(written) == {"phone"}


def test_what_is_not_there_is_not_seen() -> None:
    assert names(f"{PHONE[:-1]} {NAME[:-1]} {PHONE[1:]}") == set()
    assert names("") == set()


def test_a_file_is_searched_across_its_chunks(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (CHUNK_BYTES - 5) + PHONE.encode() + b"x" * CHUNK_BYTES)
    assert [sighting.name for sighting in CANARIES.search_file(path)] == ["phone"]


def test_short_values_are_refused() -> None:
    with pytest.raises(AssertionError, match="chance"):
        Canaries({"name": "王"})
