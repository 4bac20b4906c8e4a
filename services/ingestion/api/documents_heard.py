"""From a platform's document to what it says in our words; one that cannot be said in them is refused, never fatal."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog

from libs.channels.channel import Document, Hint
from libs.channels.outward.lines import Line, plain
from libs.channels.refusals import OrderRefused
from services.ingestion.api.edge import Edge
from services.ingestion.domain import DocumentHeard, HintHeard

FIELD_LIMIT_CHARACTERS = 200
SUBJECT_ID = re.compile(r"[!-~]{1,128}")
MESSAGE_ID = re.compile(r"[!-~]{1,200}")


async def heard(edge: Edge, line: Line, document: Document, request_id: str) -> DocumentHeard:
    """Return what a document says, persons sealed; a refusal names the field and the reason and repeats no value."""
    raw_sealed = await edge.seal(line.shop_id, document.raw)
    about, subject_id = document.about.value, document.subject_id
    field, reason = "", ""
    try:
        messages = line.channel.heard(document)
        said = [await edge.command_of_platform(line.name, line.shop_id, each, request_id) for each in messages]
        return DocumentHeard(
            about=about, subject_id=subject_id, modified_at=document.modified_at, said=said, raw_sealed=raw_sealed
        )
    except OrderRefused as refused:
        field, reason = plain(refused.field)[:FIELD_LIMIT_CHARACTERS], plain(refused.reason) or "is not valid"
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        # A document that no connector foresaw is parked like any other that cannot be taken; its words stay sealed.
        reason = f"could not be read: {type(error).__name__}"
        structlog.get_logger().warning("a document could not be read", channel=line.name, error=type(error).__name__)
    return DocumentHeard(
        about=about,
        subject_id=subject_id,
        modified_at=document.modified_at,
        refused_field=field,
        refused_reason=reason,
        raw_sealed=raw_sealed,
    )


async def all_heard(edge: Edge, line: Line, documents: Sequence[Document], asked_at: datetime) -> list[DocumentHeard]:
    """Return what several documents say."""
    request_id = f"{line.name}:{asked_at.isoformat()}"
    return [await heard(edge, line, document, f"{request_id}:{document.subject_id}") for document in documents]


def hints_heard(hints: Sequence[Hint]) -> list[HintHeard]:
    """Return hints as they travel in commands; a message id that is none counts as absent."""
    return [
        HintHeard(
            about=hint.about.value,
            subject_id=hint.subject_id,
            message_id=hint.message_id if MESSAGE_ID.fullmatch(hint.message_id) else "",
        )
        for hint in hints
    ]


def check_ids(ids: Iterable[str]) -> None:
    """Refuse what is no order or refund number: it would be a key here."""
    if not all(SUBJECT_ID.fullmatch(each) for each in ids):
        raise OrderRefused("", "names something that is no order or refund number")
