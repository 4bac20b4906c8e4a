"""Reads what JD tells when it is asked, for it pushes nothing: the rows of orders, services and purchase orders."""

from datetime import datetime
from typing import Any

import msgspec

from libs.channels.channel import About, Cure, Document, Page, PlatformRefused
from libs.channels.jd.mapping import moment_or_none
from libs.channels.values import number_or_none

SUBJECT_SEPARATOR = "-"


def order_page(found: list[dict[str, Any]], until: datetime) -> Page:
    """Return the ids of a page of orders; a row without an id must not pass as a page without that row."""
    subjects = []
    for row in found:
        order_id = number_or_none(row.get("orderId"))
        if order_id is None:
            raise PlatformRefused(Cure.RETRY, "answer", "has an order without orderId")
        subjects.append((order_id, moment_or_none(row.get("modified")) or until))
    return Page(subjects=tuple(subjects))


def refund_page(found: list[dict[str, Any]], until: datetime) -> Page:
    """Return a page of after-sales services or applications, whole: the list already says all that there is.

    A row without a service or its order is a refund of the finances only; nothing can be asked about it.
    """
    documents = [document for row in found if (document := refund_document(row)) is not None]
    subjects = tuple((document.subject_id, document.modified_at or until) for document in documents)
    return Page(subjects=subjects, documents=tuple(documents))


def refund_document(row: dict[str, Any]) -> Document | None:
    """Return a row as a document. A service's id names its order as well, for JD finds services by order only."""
    application_id = number_or_none(row.get("id"))
    if "applyRefundSum" in row and application_id is not None:
        changed_at = moment_or_none(row.get("checkTime")) or moment_or_none(row.get("applyTime"))
        return Document(About.REFUND, application_id, msgspec.json.encode(row), changed_at)
    bill = row.get("sameOrderServiceBill")
    if not isinstance(bill, dict):
        return None
    order_id, service_id = number_or_none(bill.get("orderId")), number_or_none(bill.get("serviceId"))
    if order_id is None or service_id is None:
        return None
    times = (row.get("completeTime"), bill.get("approveDate"), bill.get("afsApplyTime"))
    changed_at = next((moment for time in times if (moment := moment_or_none(time)) is not None), None)
    subject_id = f"{order_id}{SUBJECT_SEPARATOR}{service_id}"
    return Document(About.REFUND, subject_id, msgspec.json.encode(row), changed_at)
