"""Which PDAs are known by name, and which of them may not work any more."""

from datetime import datetime

from libs.decide import Output, Reply, State
from services.fulfillment.domain.commands import RegisterDevice, RevokeDevice
from services.fulfillment.domain.rows import Device


def _view(device: Device) -> dict[str, str | bool]:
    return {
        "device_id": device.device_id,
        "warehouse": device.warehouse,
        "label": device.label,
        "revoked": device.revoked,
    }


def register_device(command: RegisterDevice, state: State, now: datetime) -> list[Output]:
    """Note a device, move it to another warehouse, or let a revoked one work again."""
    known = state.get(Device, command.device_id)
    device = Device(device_id=command.device_id, warehouse=command.warehouse, label=command.label)
    if device != known:
        state.put(device)
    return [Reply(status=201 if known is None else 200, body=_view(device))]


def revoke_device(command: RevokeDevice, state: State, now: datetime) -> list[Output]:
    """Refuse a device from now on; one never registered too, because its token may be what was lost."""
    device = state.get(Device, command.device_id) or Device(device_id=command.device_id, warehouse="")
    if not device.revoked:
        device.revoked = True
        state.put(device)
    return [Reply(body=_view(device))]
