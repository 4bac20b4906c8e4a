"""The wording of each notice: defaults in code, versions by operators, and nothing a notice does not know in it."""

import re
from datetime import datetime

from libs.decide import Command, Output, Reply, State, problem
from services.notification.domain.rows import Template, TemplateVersion

PARCEL_SHIPPED = "parcel_shipped"
ORDER_HELD = "order_held"
ROUTE_BLOCKED = "route_blocked"
SAFETY_LINE = "safety_line"
AMEND_TOO_LATE = "amend_too_late"
CANCEL_TOO_LATE = "cancel_too_late"
_PLACEHOLDER = re.compile(r"\$\{([a-z_]*)\}")

VARIABLES: dict[str, frozenset[str]] = {
    PARCEL_SHIPPED: frozenset({"order_no", "carrier", "waybill"}),
    ORDER_HELD: frozenset({"order_id", "reasons"}),
    ROUTE_BLOCKED: frozenset({"order_id", "warehouse", "missing", "transfers"}),
    SAFETY_LINE: frozenset({"sku", "atp", "safety_stock", "suggested_purchase"}),
    AMEND_TOO_LATE: frozenset({"order_id", "version", "changed"}),
    CANCEL_TOO_LATE: frozenset({"order_id", "request_id", "parcels"}),
}
DEFAULTS: dict[str, Template] = {
    PARCEL_SHIPPED: Template(
        name=PARCEL_SHIPPED, version=0, text="您的订单${order_no}已由${carrier}发出，运单号${waybill}。"
    ),
    ORDER_HELD: Template(name=ORDER_HELD, version=0, text="${order_id}：${reasons}"),
    ROUTE_BLOCKED: Template(
        name=ROUTE_BLOCKED, version=0, text="${order_id} 在 ${warehouse} 缺 ${missing}；建议调拨：${transfers}"
    ),
    SAFETY_LINE: Template(
        name=SAFETY_LINE,
        version=0,
        text="${sku} 可用 ${atp}，安全水位 ${safety_stock}，建议采购 ${suggested_purchase}",
    ),
    AMEND_TOO_LATE: Template(
        name=AMEND_TOO_LATE,
        version=0,
        text="${order_id} 第 ${version} 版改了${changed}，仓库已按改前的配货；请在发出前拦下，或发出后处理差额",
    ),
    CANCEL_TOO_LATE: Template(
        name=CANCEL_TOO_LATE,
        version=0,
        text="${order_id} 的取消 ${request_id} 来晚了，包裹 ${parcels} 已发出；请按退货处理",
    ),
}


class SetTemplate(Command, frozen=True, kw_only=True):
    """Put a new wording in force."""

    name: str
    text: str
    provider_code: str
    by: str

    @property
    def key(self) -> str:
        """The template's name."""
        return self.name


def set_template(command: SetTemplate, state: State, now: datetime) -> list[Output]:
    """Put a wording in force, unless it names something the notice does not know; the same wording changes nothing."""
    known = VARIABLES.get(command.name)
    if known is None:
        return [problem(404, "no such template", detail=f"templates are: {', '.join(sorted(VARIABLES))}")]
    named = placeholders(command.text)
    unknown = sorted(named - known)
    if unknown or command.text.count("${") != len(_PLACEHOLDER.findall(command.text)):
        allowed = ", ".join(f"${{{name}}}" for name in sorted(known))
        return [problem(422, "the text names something this notice does not know", f"known: {allowed}", field="text")]
    row = state.get(Template, command.name)
    if row is not None and (row.text, row.provider_code) == (command.text, command.provider_code):
        return [Reply(body=template_body(row))]
    row = Template(
        name=command.name,
        version=1 if row is None else row.version + 1,
        text=command.text,
        provider_code=command.provider_code,
    )
    state.put(row)
    state.append(
        TemplateVersion(
            name=row.name,
            version=row.version,
            text=row.text,
            provider_code=row.provider_code,
            by=command.by,
            at=now,
        )
    )
    return [Reply(body=template_body(row))]


def template_body(template: Template) -> dict[str, str | int]:
    """Return a template as its JSON."""
    return {
        "name": template.name,
        "version": template.version,
        "text": template.text,
        "provider_code": template.provider_code,
    }


def placeholders(text: str) -> set[str]:
    """Return the names that a wording has filled in."""
    return set(_PLACEHOLDER.findall(text))


def render(text: str, values: dict[str, str]) -> str:
    """Return a wording with its `${names}` filled in; a name without a value stays as it is."""
    return _PLACEHOLDER.sub(lambda found: values.get(found.group(1), found.group(0)), text)


def clipped(text: str, limit_bytes: int) -> str:
    """Return the text cut to `limit_bytes` of UTF-8 at a character's end, with an ellipsis where it was cut."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit_bytes:
        return raw.decode()
    return raw[: limit_bytes - 3].decode("utf-8", "ignore") + "…"
