"""Shops on platforms: what is heard of them, how far their orders are complete, and how they are signed in."""

from collections.abc import Iterable, Sequence

from libs.channels.registry import PLATFORMS
from libs.decide import Delivered, Handlers, Needs, On, State
from services.ingestion import domain
from services.ingestion.domain import (
    FETCH,
    ORDER,
    AskPerson,
    BeginSignIn,
    CloseDays,
    ClosePull,
    Connection,
    DocumentHeard,
    HearPage,
    KeepToken,
    NoteTrouble,
    ParkedDocument,
    PlatformOrder,
    PlatformRefund,
    Progress,
    Push,
    PutConnection,
    RefuseToken,
    RequestRefund,
    RetryParked,
    Shop,
    SignIn,
    Subject,
    TakeDocument,
    TakeHints,
    UseSignIn,
    WaiveGaps,
)
from services.ingestion.domain.uploads import ShipBack

Place = tuple[str, str, str]


def _configured(command: PutConnection) -> Needs:
    return {Connection: [(command.shop_id,)], Shop: [(command.shop_id,)], Progress: [(command.shop_id,)]}


def _connection(command: KeepToken | RefuseToken | AskPerson) -> Needs:
    return {Connection: [(command.shop_id,)]}


def _began(command: BeginSignIn) -> Needs:
    return {Connection: [(command.shop_id,)], SignIn: [(command.state_hash,)]}


def _state(command: UseSignIn) -> Needs:
    return {SignIn: [(command.state_hash,)]}


def _shop_of_state(command: UseSignIn, state: State) -> Needs:
    begun = state.get(SignIn, command.state_hash)
    return {} if begun is None else {Connection: [(begun.shop_id,)]}


def _progress(command: ClosePull | CloseDays | WaiveGaps | NoteTrouble) -> Needs:
    return {Progress: [(command.shop_id,)]}


def _heard(shop_id: str, places: Iterable[Place], documents: Sequence[DocumentHeard]) -> Needs:
    """Name what documents touch: themselves, the orders and refunds that they speak of, and the shop's watermark."""
    subjects = {*places, *((shop_id, each.about, each.subject_id) for each in documents)}
    said = [each for document in documents for each in document.said]
    subjects |= {(shop_id, ORDER, number) for number in domain.order_numbers(said)}
    refunds = [each for each in said if isinstance(each, RequestRefund)]
    return {
        Subject: sorted(subjects),
        ParkedDocument: sorted(subjects),
        PlatformOrder: [(each.key,) for each in said],
        PlatformRefund: [(each.order_id, each.refund_id) for each in refunds],
        ShipBack: [(each.order_id,) for each in refunds if each.withdrawn],
        Progress: [(shop_id,)],
    }


def _hints(command: TakeHints) -> Needs:
    places = [(command.shop_id, hint.about, hint.subject_id) for hint in command.hints]
    return _heard(command.shop_id, places, command.documents)


def _document(command: TakeDocument) -> Needs:
    return _heard(command.shop_id, (), [command.document])


def _page(command: HearPage) -> Needs:
    places = [(command.shop_id, command.about, row.subject_id) for row in command.listed]
    return _heard(command.shop_id, places, command.documents)


def _refund(command: RequestRefund) -> Needs:
    order = [(command.order_id,)]
    return {
        PlatformOrder: order,
        PlatformRefund: [(command.order_id, command.refund_id)],
        ShipBack: order if command.withdrawn else [],
    }


def _retried(command: RetryParked) -> Needs:
    place = (command.shop_id, command.about, command.subject_id)
    return {Subject: [place], ParkedDocument: [place]}


def _delivered(message: Delivered) -> Needs:
    place = (message.body["shop_id"], message.body["about"], message.body["subject_id"])
    return {Subject: [place], ParkedDocument: [place], Progress: [(place[0],)]}


def connections() -> Handlers:
    """Return what is decided about shops on platforms and about what they tell."""
    fetched = On(domain.fetched, needs=_delivered)
    return Handlers(
        service="ingestion",
        on={
            PutConnection: On(domain.put_connection, needs=_configured),
            BeginSignIn: On(domain.begin_sign_in, needs=_began),
            UseSignIn: On(domain.use_sign_in, needs=_state, then=_shop_of_state),
            KeepToken: On(domain.keep_token, needs=_connection),
            RefuseToken: On(domain.refuse_token, needs=_connection),
            AskPerson: On(domain.ask_person, needs=_connection),
            TakeHints: On(domain.take_hints, needs=_hints),
            HearPage: On(domain.hear_page, needs=_page),
            TakeDocument: On(domain.take_document, needs=_document),
            RequestRefund: On(domain.request_refund, needs=_refund),
            RetryParked: On(domain.retry_parked, needs=_retried),
            ClosePull: On(domain.close_pull, needs=_progress),
            CloseDays: On(domain.close_days, needs=_progress),
            WaiveGaps: On(domain.waive_gaps, needs=_progress),
            NoteTrouble: On(domain.note_trouble, needs=_progress),
        },
        delivered={FETCH + name: fetched for name in PLATFORMS},
        rows=(Connection, SignIn, Subject, ParkedDocument, PlatformRefund, Progress, PlatformOrder, Shop, ShipBack),
        entries=(Push,),
    )
