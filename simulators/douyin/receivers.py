"""Who gets the parcel, as Douyin shows it today: encrypted texts beside masked ones; or masked only; or clear."""

import base64
import binascii
from typing import Any

from simulators.model import PlatformOrder, Receiver

ENCRYPTED, MASKED = "encrypted", "masked"
FIELDS = ("name", "tel", "detail")


def encrypted(order_id: str, field: str) -> str:
    """Return the text that stands for a field: it says nothing, but the platform can look it up."""
    return "##" + base64.b64encode(f"{order_id}|{field}".encode()).decode() + "##"


def decrypted(order: PlatformOrder, text: str) -> str | None:
    """Return what an encrypted text of this order stands for; None: it is none of it."""
    try:
        order_id, _, field = base64.b64decode(text.strip("#"), validate=True).decode().partition("|")
    except (binascii.Error, UnicodeDecodeError):
        return None
    clear = _clear(order.receiver)
    return clear.get(field) if order_id == order.order_id else None


def receiver(order: PlatformOrder, shown: str) -> dict[str, Any]:
    """Return the receiver's fields of an order document."""
    clear, masked = _clear(order.receiver), _masked(order.receiver)
    said = clear if shown not in (ENCRYPTED, MASKED) else dict.fromkeys(FIELDS, "")
    secret = {name: encrypted(order.order_id, name) if shown == ENCRYPTED else "" for name in FIELDS}
    area = _area(order.receiver)
    return {
        "post_receiver": said["name"],
        "post_tel": said["tel"],
        "post_addr": {**area, "detail": said["detail"], "encrypt_detail": secret["detail"]},
        "encrypt_post_receiver": secret["name"],
        "encrypt_post_tel": secret["tel"],
        "mask_post_receiver": masked["name"],
        "mask_post_tel": masked["tel"],
        "mask_post_addr": {**area, "detail": masked["detail"]},
    }


def _area(person: Receiver) -> dict[str, dict[str, str]]:
    # In Douyin's words a district is a town, and a town is a street.
    names = {"province": person.province, "city": person.city, "town": person.district, "street": person.town}
    return {level: {"name": name, "id": ""} for level, name in names.items()}


def _clear(person: Receiver) -> dict[str, str]:
    return {"name": person.name, "tel": person.phone, "detail": person.address}


def _masked(person: Receiver) -> dict[str, str]:
    return {
        "name": person.name[:1] + "*" * max(len(person.name) - 1, 1),
        "tel": person.phone[:3] + "****" + person.phone[-4:],
        "detail": person.address[:2] + "***",
    }
