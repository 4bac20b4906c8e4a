"""The API page works without internet, and no browser that shows it asks another host."""

import base64
import hashlib
import re
from urllib.parse import urljoin

import httpx
from fastapi import FastAPI

from libs.runtime.auth import Auth
from libs.runtime.clock import utc_now
from libs.runtime.docs import install_docs
from libs.runtime.service import Parts, Service, application
from libs.runtime.settings import ServiceSettings
from libs.stream.memory import MemoryCluster, MemoryJournal, MemoryLog, Stored
from libs.stream.worker import Worker
from libs.testkit.tally import HANDLERS, LIMITS, TABLES

SETTINGS = ServiceSettings(
    kafka="nowhere:1",
    postgres="postgresql://nobody@nowhere:1/none",
    jwt_secret="a secret for tests only, long enough",
    oidc_jwks_url="",
)


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def a_service() -> FastAPI:
    journal = MemoryJournal(Stored(), utc_now)
    worker = Worker(HANDLERS, journal, MemoryLog(MemoryCluster()), owner="a", clock=utc_now, limits=LIMITS)
    parts = Parts(SETTINGS, Auth(SETTINGS), worker, None)  # type: ignore[arg-type]
    return application(Service("risk", SETTINGS, HANDLERS, TABLES, lambda parts: []), parts)


async def test_a_services_page_brings_all_that_it_names() -> None:
    async with client_of(a_service()) as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        assert "//" not in page.text, "the page names another host"
        named = re.findall(r"(?:src|href)=['\"]?([^'\" >]+)", page.text)
        assert len(named) >= 3
        for each in [*named, "openapi.json"]:
            answer = await client.get(urljoin("/docs", each))
            assert answer.status_code == 200, each
            assert len(answer.content) > 500
            if each.endswith(".css"):
                assert not re.search(r"@import|url\(['\"]?(?:https?:|//)", answer.text)
        assert "SwaggerUIBundle" in (await client.get(urljoin("/docs", "docs/assets/swagger-ui-bundle.js"))).text


async def test_the_policy_lets_the_page_start_and_ask_nobody_else() -> None:
    async with client_of(a_service()) as client:
        page = await client.get("/docs")
    policy = dict(rule.strip().split(" ", 1) for rule in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    (start,) = re.findall(r"<script>(.*?)</script>", page.text)
    digest = base64.b64encode(hashlib.sha256(start.encode()).digest()).decode()
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"
    assert policy["connect-src"] == "'self'"
    # A scheme or a star would let any host in.
    assert not re.search(r"https?:|\*|unsafe-eval", page.headers["content-security-policy"])


async def test_a_title_is_text() -> None:
    app = FastAPI(title="<script>alert(1)</script>", docs_url=None)
    install_docs(app)
    async with client_of(app) as client:
        assert "<script>alert" not in (await client.get("/docs")).text
