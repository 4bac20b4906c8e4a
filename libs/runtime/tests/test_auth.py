"""A caller is who a valid token says: every forged, stale or foreign one is answered with 401, never with a crash."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from libs.runtime.auth import Auth, Caller, make_token
from libs.runtime.http import Problem
from libs.runtime.settings import ServiceSettings

SECRET = "a secret for tests only, long enough"
ISSUER = "https://login.example"
HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def auth(**settings: Any) -> Auth:
    known = {"kafka": "nowhere:1", "postgres": "postgresql://nobody@nowhere:1/none", "jwt_secret": SECRET}
    known |= {"oidc_issuer": "", "oidc_jwks_url": "", "oidc_audience": "ordo"}
    return Auth(ServiceSettings(**{**known, **settings}))


def claims(**more: Any) -> dict[str, Any]:
    found = {"iss": "ordo", "aud": "ordo", "sub": "device-1", "roles": ["picker"], "warehouse": "CD", "iat": now()}
    return {name: value for name, value in {**found, "exp": now() + HOUR, **more}.items() if value is not None}


def local(**more: Any) -> str:
    return jwt.encode(claims(**more), SECRET, algorithm="HS256")


async def refused(checks: Auth, token: str) -> str:
    with pytest.raises(Problem) as caught:
        await checks.caller(token)
    assert caught.value.status == 401
    assert SECRET not in json.dumps(caught.value.body)
    return str(caught.value.body.get("detail", caught.value.body["title"]))


async def test_a_made_token_speaks_for_its_subject() -> None:
    token = make_token(SECRET, subject="pda-7", roles=["picker", "sre"], warehouse="CD", now=now(), lifetime=HOUR)
    assert await auth().caller(token) == Caller("pda-7", frozenset({"picker", "sre"}), "CD")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"exp": now() - timedelta(seconds=60)}, "ExpiredSignatureError"),
        ({"exp": None}, "MissingRequiredClaimError"),
        ({"sub": None}, "MissingRequiredClaimError"),
        ({"iss": "somebody"}, "InvalidIssuerError"),
        ({"iss": None}, "MissingRequiredClaimError"),
        ({"aud": "somewhere"}, "InvalidAudienceError"),
        ({"aud": None}, "MissingRequiredClaimError"),
        ({"iat": now() + HOUR}, "ImmatureSignatureError"),
        ({"nbf": now() + HOUR}, "ImmatureSignatureError"),
        ({"sub": 7}, "InvalidSubjectError"),
        ({"sub": ""}, "no subject"),
        ({"sub": "x" * 201}, "no subject"),
        ({"roles": "operator"}, "no roles"),
        ({"roles": {"operator": True}}, "no roles"),
        ({"roles": None}, "no roles"),
        ({"warehouse": 7}, "not a text"),
        ({"warehouse": ["CD"]}, "not a text"),
    ],
)
async def test_a_signed_token_with_a_wrong_claim_is_refused(more: dict[str, Any], said: str) -> None:
    assert said in await refused(auth(), local(**more))


async def test_a_token_may_be_a_few_seconds_old_or_early() -> None:
    for more in ({"exp": now() - timedelta(seconds=5)}, {"iat": now() + timedelta(seconds=5)}):
        assert (await auth().caller(local(**more))).subject == "device-1"


async def test_roles_nobody_knows_are_ignored() -> None:
    caller = await auth().caller(local(roles=["emperor", "operator", 7, ["sre"]]))
    assert caller.roles == {"operator"}
    assert (await auth().caller(local(roles=[]))).roles == frozenset()


@pytest.mark.parametrize("secret", ["another secret that is long enough too", SECRET + "x", SECRET.upper()])
async def test_another_key_signs_in_vain(secret: str) -> None:
    assert "Signature" in await refused(auth(), jwt.encode(claims(), secret, algorithm="HS256"))


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


PAYLOAD = {"iss": "ordo", "aud": "ordo", "sub": "x", "roles": ["operator"], "exp": 4_000_000_000}


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a" * 10_000,
        "\x00",
        "中文",
        "\udc00.a.b",
        f"{part({'alg': 'none'})}.{part(PAYLOAD)}.",
        f"{part({'alg': 'None', 'typ': 'JWT'})}.{part(PAYLOAD)}.",
        f"{part({'alg': 'HS256'})}.{part(PAYLOAD)}.",
        f"{part({'alg': 'HS512'})}.{part(PAYLOAD)}.AAAA",
        f"{part({'alg': ['HS256']})}.{part(PAYLOAD)}.AAAA",
        f"{part({})}.{part(PAYLOAD)}.AAAA",
        f"{part([])}.{part(PAYLOAD)}.AAAA",
        f"{part('HS256')}.{part(PAYLOAD)}.AAAA",
        f"{part({'alg': 'HS256', 'crit': ['x']})}.{part(PAYLOAD)}.AAAA",
    ],
)
async def test_what_is_no_token_is_refused_and_not_a_crash(token: str) -> None:
    await refused(auth(), token)
    await refused(auth(jwt_secret=""), token)


async def test_without_a_secret_even_a_token_signed_with_the_empty_one_is_refused() -> None:
    head, body = part({"alg": "HS256", "typ": "JWT"}), part(PAYLOAD)
    empty = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), b"")
    signature = base64.urlsafe_b64encode(empty).decode().rstrip("=")
    assert "algorithm" in await refused(auth(jwt_secret=""), f"{head}.{body}.{signature}")


@pytest.mark.parametrize(
    ("roles", "warehouse", "said"), [(["picker"], None, "warehouse"), (["emperor"], None, "emperor")]
)
def test_no_token_is_made_for_an_unbound_picker_or_an_unknown_role(
    roles: list[str], warehouse: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        make_token(SECRET, subject="x", roles=roles, warehouse=warehouse, now=now(), lifetime=HOUR)


def test_a_route_cannot_ask_for_a_role_that_does_not_exist() -> None:
    with pytest.raises(AssertionError, match="emperor"):
        auth().require("emperor")


# -- an OIDC provider ------------------------------------------------------------------------------------------------

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def jwks_url() -> Iterator[str]:
    """A provider's key set, served on this machine."""
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k1", "use": "sig", "alg": "RS256"}
    answer = json.dumps({"keys": [jwk]}).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/jwks"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def oidc(jwks_url: str) -> Auth:
    return auth(oidc_issuer=ISSUER, oidc_jwks_url=jwks_url, oidc_audience="order-hub")


def provided(key: Any = KEY, kid: str = "k1", **more: Any) -> str:
    said = claims(**{"iss": ISSUER, "aud": "order-hub", "roles": ["reviewer"], "warehouse": None} | more)
    return jwt.encode(said, key, algorithm="RS256", headers={"kid": kid})


async def test_a_providers_token_is_accepted_beside_our_own(oidc: Auth) -> None:
    assert await oidc.caller(provided()) == Caller("device-1", frozenset({"reviewer"}), None)
    assert (await oidc.caller(local())).warehouse == "CD"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (provided(key=STRANGER), "InvalidSignatureError"),
        (provided(kid="k2"), "PyJWKClientError"),
        (provided(iss="https://elsewhere.example"), "InvalidIssuerError"),
        (provided(iss="ordo"), "InvalidIssuerError"),
        (provided(aud="ordo"), "InvalidAudienceError"),
        (provided(exp=now() - HOUR), "ExpiredSignatureError"),
        (provided(exp=None), "MissingRequiredClaimError"),
        (provided(roles="reviewer"), "no roles"),
        (f"{part({'alg': 'none', 'kid': 'k1'})}.{part(PAYLOAD)}.", ""),
    ],
)
async def test_a_providers_token_is_checked_as_strictly(oidc: Auth, token: str, said: str) -> None:
    assert said in await refused(oidc, token)


@pytest.mark.parametrize("secret", ["", SECRET])
async def test_the_providers_public_key_is_no_shared_secret(jwks_url: str, secret: str) -> None:
    pem = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    head, body = part({"alg": "HS256", "typ": "JWT", "kid": "k1"}), part(PAYLOAD | {"iss": ISSUER, "aud": "order-hub"})
    forged = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), pem)
    token = f"{head}.{body}.{base64.urlsafe_b64encode(forged).decode().rstrip('=')}"
    checks = auth(jwt_secret=secret, oidc_issuer=ISSUER, oidc_jwks_url=jwks_url, oidc_audience="order-hub")
    await refused(checks, token)


async def test_a_provider_that_does_not_answer_admits_nobody() -> None:
    away = auth(oidc_issuer=ISSUER, oidc_jwks_url="http://127.0.0.1:1/jwks", oidc_audience="order-hub")
    await refused(away, provided())
    assert (await away.caller(local())).subject == "device-1", "our own tokens do not depend on it"
