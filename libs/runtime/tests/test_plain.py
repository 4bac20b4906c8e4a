"""Plain routes answer like any other, errors included, and keep nothing from the routes beside them."""

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from libs.runtime.http import Problem, install_problem_handlers
from libs.runtime.plain import PlainRoute, PlainRoutes, plain_routes


async def answer(request: Request) -> Response:
    if "bad" in request.query_params:
        raise Problem(422, "not like this", field="bad")
    if "broken" in request.query_params:
        raise ZeroDivisionError
    return JSONResponse({"shop": request.path_params["shop_id"], "body": (await request.body()).decode()})


async def usual(shop_id: str) -> dict[str, str]:
    return {"usual": shop_id}


@pytest.fixture
def client() -> httpx.AsyncClient:
    plain = APIRouter(route_class=PlainRoute)
    plain.add_api_route("/in/{shop_id}", answer, methods=["POST"])
    other = APIRouter()
    other.add_api_route("/in/{shop_id}", usual, methods=["GET"])
    app = FastAPI()
    install_problem_handlers(app)
    routers = [plain, other]
    assert [route.path for route in plain_routes(routers)] == ["/in/{shop_id}"]
    app.add_middleware(PlainRoutes, routes=plain_routes(routers), on_error=app.exception_handlers)
    for router in routers:
        app.include_router(router)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://ordo")


async def test_a_plain_route_is_answered_with_its_parameters(client: httpx.AsyncClient) -> None:
    answered = await client.post("/in/a%20b", content=b"order")
    assert (answered.status_code, answered.json()) == (200, {"shop": "a b", "body": "order"})


async def test_its_refusals_are_problems(client: httpx.AsyncClient) -> None:
    answered = await client.post("/in/a?bad")
    assert (answered.status_code, answered.json()["field"]) == (422, "bad")
    assert answered.headers["content-type"] == "application/problem+json"


async def test_what_nobody_foresaw_is_one_too(client: httpx.AsyncClient) -> None:
    answered = await client.post("/in/a?broken")
    assert (answered.status_code, answered.json()["title"]) == (500, "this request could not be handled")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/in/a", 200), ("PUT", "/in/a", 405), ("POST", "/in/", 404)]
)
async def test_everything_else_goes_on(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    assert (await client.request(method, path)).status_code == status


async def test_it_is_documented(client: httpx.AsyncClient) -> None:
    assert {"get", "post"} == set((await client.get("/openapi.json")).json()["paths"]["/in/{shop_id}"])
