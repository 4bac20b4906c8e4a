"""Receivers as platforms show them: clear, masked, or as opaque text that only the platform can open."""

import base64
import hashlib
from dataclasses import replace

from simulators.model import Receiver
from simulators.quirks import Receivers


def masked(receiver: Receiver) -> Receiver:
    """Return what a platform shows of a receiver: one character of the name, ends of the phone, the area."""
    phone = receiver.phone
    return replace(
        receiver,
        name=receiver.name[:1] + "**",
        phone=f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 8 else "****",
        address="***",
    )


def sealed(text: str, salt: str) -> str:
    """Return opaque text in the manner of platforms' ciphers: the same for the same person within an order."""
    digest = hashlib.sha256(f"{salt}:{text}".encode()).digest()
    return f"~{base64.b64encode(digest).decode()}~1~"


def shown(receiver: Receiver, how: Receivers, default: Receivers, salt: str) -> Receiver:
    """Return a receiver as the dial says, or as the platform does today."""
    how = how or default
    if how == "masked":
        return masked(receiver)
    if how == "encrypted":
        name, phone, address = (sealed(text, salt) for text in (receiver.name, receiver.phone, receiver.address))
        return replace(receiver, name=name, phone=phone, address=address)
    return receiver
