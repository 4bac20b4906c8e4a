"""An open line to a shop on its platform, and what is done when the platform says no on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from libs.channels.channel import Access, Channel, Client, Cure, PlatformRefused
from libs.stream.egress import Refused, Retry

PAUSED_RETRY_S = 60.0
PERSON_RETRY_S = 60.0
TOKEN_RETRY_S = 1.0
WORDS_LIMIT_CHARACTERS = 300


@dataclass(frozen=True)
class Line:
    """A shop as it may be spoken for now. `version` changes with every other token or access."""

    shop_id: str
    name: str
    channel: Channel
    access: Access = field(repr=False)
    client: Client = field(repr=False)
    token_version: int = 0
    version: str = ""
    token_expires_at: datetime | None = None
    token_refused_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    paused: bool = False
    asks: str | None = None
    push_url: str = ""
    carriers: Mapping[str, str] = field(default_factory=dict)  # the platform's codes by ours in capitals


class Lines(Protocol):
    """Who knows all lines, and to whom one tells that a line is not good any more."""

    async def find(self, shop_id: str) -> Line | None:
        """Return the line of a shop; None where there is no such shop on a platform."""
        ...

    async def all(self) -> list[Line]:
        """Return every line."""
        ...

    async def token_refused(self, line: Line) -> None:
        """The platform does not take this token: the shop's refresher gets another."""
        ...

    async def person_needed(self, line: Line, why: str) -> None:
        """No retry helps: show the operators why."""
        ...


async def open_line(lines: Lines, shop_id: str) -> Line:
    """Return the line an outward call goes out on; raises what egress makes of a shop that is gone or paused."""
    line = await lines.find(shop_id)
    if line is None:
        raise Refused("there is no such shop on a platform")
    if line.paused:
        raise Retry("the shop is paused", PAUSED_RETRY_S)
    return line


async def answer(lines: Lines, line: Line, refused: PlatformRefused) -> Exception:
    """Do what helps against a platform's refusal, and return what egress should make of the call."""
    words = plain(str(refused))
    if refused.cure is Cure.GIVE_UP:
        return Refused(words)
    if refused.cure is Cure.ASK:
        await lines.person_needed(line, words)
        return Retry(words, max(refused.after_seconds, PERSON_RETRY_S))
    if refused.cure is Cure.REFRESH:
        await lines.token_refused(line)
        return Retry(words, max(refused.after_seconds, TOKEN_RETRY_S))
    return Retry(words, refused.after_seconds)


def plain(words: str) -> str:
    """Return a platform's words as they can be stored and shown: of bounded length, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in words[:WORDS_LIMIT_CHARACTERS])
