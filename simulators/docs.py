"""The page at `/docs`: Swagger UI from this machine's disk, and a policy under which the page asks nobody else."""

import base64
import hashlib
from html import escape

from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

START = "SwaggerUIBundle({url: 'openapi.json', dom_id: '#api', deepLinking: true, validatorUrl: null})"
PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
    "<title>{title}</title><link rel=icon href=docs/assets/favicon-32x32.png>"
    "<link rel=stylesheet href=docs/assets/swagger-ui.css>"
    "<div id=api></div><script src=docs/assets/swagger-ui-bundle.js></script><script>{start}</script></html>"
)
# It needs no internet, and what it does stays between the browser and this program.
POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    f"script-src 'self' 'sha256-{base64.b64encode(hashlib.sha256(START.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


# A twin of the services' page: the doubles share no code with what they are there to prove.
def install_docs(app: FastAPI) -> None:
    """Describe the control API at `/docs`; FastAPI's own page (`docs_url=None`) needs the internet."""
    page = PAGE.format(title=escape(app.title), start=START)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_swagger", "resources")]))
