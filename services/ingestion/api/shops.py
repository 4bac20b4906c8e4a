"""Operators' page of shops: create one, pause it, give it a new secret that is shown once, see how complete it is."""

import hashlib
import secrets
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import JSONResponse, Response

from libs.channels import registry
from libs.channels.channel import Token
from libs.channels.own.signing import secret_of_key
from libs.runtime.auth import Caller
from libs.runtime.http import IdempotencyKey, Problem, respond
from libs.runtime.service import Parts
from services.ingestion import store
from services.ingestion.api.edge import CHANNEL, Edge
from services.ingestion.api.line_book import AccessSecrets, LineBook
from services.ingestion.api.shop_book import KnownShop, ShopBook
from services.ingestion.api.shop_forms import (
    ChannelShown,
    CompletenessShown,
    GapsWaived,
    ShopPage,
    ShopSaved,
    ShopShown,
    ShopWanted,
    TokenShown,
    WaivedShown,
    breaks_when_expired,
)
from services.ingestion.api.shop_health import awaited, judged
from services.ingestion.domain import DAYS, PULL, PutConnection, PutShop, WaiveGaps
from services.ingestion.settings import Settings

KEY_BYTES = 32
NO_EVIDENCE = "the channel has no way to ask what is missing"
ShopId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", examples=["demo"])]


class Shops:
    """What the routes do: own shops and shops on platforms are one list to whoever looks at it."""

    def __init__(self, parts: Parts, settings: Settings, book: ShopBook, lines: LineBook, edge: Edge) -> None:
        self._parts = parts
        self._settings = settings
        self._book = book
        self._lines = lines
        self._edge = edge

    async def put_own(self, shop_id: str, wanted: ShopWanted, idempotency_key: str) -> Response:
        """Create or change a shop of the own channel."""
        if wanted.access is not None:
            raise Problem(422, "a shop of the own channel has no access to a platform", field="access")
        if wanted.carriers is not None:
            raise Problem(422, "a shop of the own channel is told our own codes of carriers", field="carriers")
        key = secrets.token_bytes(KEY_BYTES)
        command = PutShop(
            shop_id=shop_id,
            channel=wanted.channel,
            paused=wanted.paused,
            rotate=wanted.rotate_secret,
            secret_id=secret_id_of(key),
            secret_wrapped=self._parts.require_vault().wrap(key),
            previous_valid_hours=wanted.previous_secret_valid_hours,
        )
        reply = await self._parts.submit(command, f"shop:{shop_id}:{idempotency_key}")
        self._book.forget(shop_id)
        if reply.status >= 400 or reply.body["secret_id"] != command.secret_id:
            return respond(reply)
        return JSONResponse({**reply.body, "secret": secret_of_key(key)}, status_code=reply.status)

    async def put_connection(self, shop_id: str, wanted: ShopWanted, idempotency_key: str) -> Response:
        """Create or change a shop on a platform."""
        if wanted.rotate_secret:
            raise Problem(422, "only a shop of the own channel has a secret of ours", field="rotate_secret")
        command = self._connection(shop_id, wanted)
        reply = await self._parts.submit(command, f"shop:{shop_id}:{idempotency_key}")
        self._lines.forget(shop_id)
        return respond(reply)

    def _connection(self, shop_id: str, wanted: ShopWanted) -> PutConnection:
        able = registry.channel(wanted.channel).capabilities
        evidence = [PULL] * able.pulls_orders + [DAYS] * able.numbers_days
        access = wanted.access
        told = wanted.carriers
        carriers = None if told is None else {ours.upper(): theirs for ours, theirs in told.items()}
        if access is None:
            return PutConnection(
                shop_id=shop_id, channel=wanted.channel, paused=wanted.paused, carriers=carriers, evidence=evidence
            )
        token = None
        if access.access_token or access.refresh_token:
            token = self._lines.kept(
                Token(access.access_token, access.token_expires_at, refresh_token=access.refresh_token)
            )
        sealed = msgspec.json.encode(
            AccessSecrets(app_key=access.app_key, app_secret=access.app_secret, secrets=access.secrets)
        )
        tokens = access.access_token, access.refresh_token
        return PutConnection(
            shop_id=shop_id,
            channel=wanted.channel,
            paused=wanted.paused,
            seller_id=access.seller_id,
            gateway=access.gateway,
            sign_in=access.sign_in,
            push_url=access.push_url,
            carriers=carriers,
            access_digest=self._edge.digest(sealed + msgspec.json.encode(tokens)),
            access_wrapped=self._parts.require_vault().wrap(sealed),
            token=token,
            orders_since=wanted.orders_since,
            evidence=evidence,
        )

    async def page(self, limit: int, cursor: str | None) -> ShopPage:
        """Return a page of all shops by id; those of the settings stand first."""
        async with self._parts.reads() as connection:
            own, more_own = await store.shops(connection, limit, cursor)
            watched = await store.watched(connection, limit, cursor)
            found = sorted(
                [_own_shown(record) for record in own] + [self._watched_shown(each) for each in watched],
                key=lambda shown: shown.shop_id,
            )
            page = found[:limit]
            for shown in page:
                if shown.completeness is not None and shown.completeness.open_documents:
                    rows = await store.waiting(connection, shown.shop_id)
                    shown.completeness.waits_for += [f"{row['about']} {row['subject_id']}" for row in rows]
        more = len(found) > limit or more_own is not None
        names = {shop.shop_id for shop in self._book.fixed}
        fixed = [] if cursor else [_fixed_shown(shop) for shop in self._book.fixed]
        return ShopPage(
            items=fixed + [shown for shown in page if shown.shop_id not in names],
            next_cursor=store.cursor_of(page[-1].shop_id) if more and page else None,
        )

    def _watched_shown(self, found: store.Watched) -> ShopShown:
        record, progress, now = found.shop, found.progress, self._parts.now()
        health = judged(found, self._settings, now)
        able = registry.channel(record.channel).capabilities
        return ShopShown(
            shop_id=record.shop_id,
            channel=record.channel,
            paused=record.paused,
            seller_id=record.seller_id,
            carriers=record.carriers,
            colour=health.colour,
            reasons=health.reasons,
            asks_since=record.asks_since,
            token=TokenShown(
                version=record.token_version,
                scopes=record.scopes,
                expires_at=record.token_expires_at,
                refresh_expires_at=record.refresh_expires_at,
                breaks_when_expired=breaks_when_expired(able),
            ),
            completeness=CompletenessShown(
                since=progress.since,
                complete_until=progress.complete_until,
                lag_s=health.lag_s,
                evidence=progress.evidence,
                evidence_at=progress.told_at,
                open_documents=sum(progress.open.values()),
                waits_for=[awaited(found, now)],
                gaps=progress.gaps,
                waived=[WaivedShown(**msgspec.structs.asdict(each)) for each in progress.waived],
                parked_documents=found.parked,
                late_orders=progress.late_orders,
                trouble=progress.trouble,
                trouble_since=progress.trouble_since,
            ),
        )


def router(parts: Parts, settings: Settings, book: ShopBook, lines: LineBook, edge: Edge) -> APIRouter:
    """Return the routes for shops and channels."""
    operator = parts.auth.require("operator")
    routes = APIRouter(tags=["shops"], dependencies=[Depends(operator)])
    shops = Shops(parts, settings, book, lines, edge)

    @routes.put(
        "/shops/{shop_id}",
        operation_id="put_shop",
        summary="Create or change a shop; a new secret is returned once",
        response_model=ShopSaved,
        responses={201: {"model": ShopSaved}, 409: {"description": "the shop's secret comes from the environment"}},
    )
    async def put_shop(shop_id: ShopId, wanted: ShopWanted, idempotency_key: IdempotencyKey) -> Response:
        if any(shop.shop_id == shop_id for shop in book.fixed):
            raise Problem(409, "this shop comes from the environment", detail="change ORDO_OWN_DEMO_SECRET instead")
        put = shops.put_own if wanted.channel == CHANNEL else shops.put_connection
        return await put(shop_id, wanted, idempotency_key)

    @routes.post(
        "/shops/{shop_id}/gaps/waive",
        operation_id="waive_gaps",
        summary="Wait no longer for day numbers that no order ever had; the shop's time goes on without them",
        responses={404: {"description": "no such shop on a platform"}, 409: {"description": "nobody waits for them"}},
    )
    async def waive_gaps(
        shop_id: ShopId,
        wanted: GapsWaived,
        idempotency_key: IdempotencyKey,
        caller: Annotated[Caller, Depends(operator)],
    ) -> Response:
        command = WaiveGaps(shop_id=shop_id, gaps=wanted.gaps, by=caller.subject, why=wanted.why)
        return respond(await parts.submit(command, f"waive:{shop_id}:{idempotency_key}"))

    @routes.get(
        "/shops",
        operation_id="list_shops",
        summary="All shops: how complete each is, in which colour, and what it waits for",
        response_model=ShopPage,
    )
    async def list_shops(
        limit: Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ROWS)] = 100,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> ShopPage:
        try:
            return await shops.page(limit, cursor)
        except store.BadCursor as error:
            raise Problem(422, str(error), field="cursor") from None

    @routes.get(
        "/channels", operation_id="list_channels", summary="What each channel can do", response_model=list[ChannelShown]
    )
    async def list_channels() -> list[ChannelShown]:
        return [ChannelShown(**vars(each)) for each in registry.capabilities()]

    return routes


def secret_id_of(key: bytes) -> str:
    """Return a short name for a secret that tells nothing about it."""
    return hashlib.sha256(b"ordo secret id" + key).hexdigest()[:8]


def _own_shown(record: store.ShopRecord) -> ShopShown:
    return ShopShown(
        shop_id=record.shop_id,
        channel=record.channel,
        paused=record.paused,
        secret_id=record.secret_id,
        previous_secret_until=record.previous_until,
        reasons=[NO_EVIDENCE],
    )


def _fixed_shown(shop: KnownShop) -> ShopShown:
    return ShopShown(
        shop_id=shop.shop_id,
        channel=shop.channel,
        paused=shop.paused,
        secret_id=secret_id_of(shop.keys[0]),
        from_settings=True,
        reasons=[NO_EVIDENCE],
    )
