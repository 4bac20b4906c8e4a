"""`python -m services.ingestion import FILE --shop S` against a service that listens on a real socket."""

import asyncio
import contextlib

import pytest
import uvicorn

from libs.testkit.waiting import until
from services.ingestion.__main__ import import_file
from services.ingestion.tests.stack import READY_TIMEOUT_S, memory_stack
from services.ingestion.tests.test_api import HEADING, ROW


@contextlib.asynccontextmanager
async def listening(app):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    server.capture_signals = contextlib.nullcontext
    running = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, READY_TIMEOUT_S)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


async def test_a_file_from_the_command_line(monkeypatch, tmp_path, capsys):
    async with memory_stack(monkeypatch) as stack, listening(stack.app) as url:
        monkeypatch.setenv("ORDO_URL_INGESTION", url)
        monkeypatch.setenv("ORDO_JWT_SECRET", stack.parts.settings.jwt_secret)

        async def run(text, shop="demo"):
            file = tmp_path / "orders.csv"
            file.write_bytes(text.encode("gb18030"))
            code = await asyncio.to_thread(import_file, [str(file), "--shop", shop])
            said = capsys.readouterr()
            return code, [line for line in said.out.splitlines() if "service=" not in line], said.err

        code, out, err = await run(f"{HEADING}\n{ROW}")
        assert (code, out) == (0, ["accepted 1, amended 0, unchanged 0, refused 0"])
        code, out, err = await run(f"{HEADING}\n{ROW}\n{ROW.replace('1001', '1002').replace(',6,', ',x,')}")
        assert code == 1
        assert out == [
            "line 3: quantity: must be a whole number (order 1002)",
            "accepted 0, amended 0, unchanged 1, refused 1",
        ]
        code, out, err = await run("a,b\n1,2")
        assert (code, err) == (2, "the file cannot be read: a: is not a column of an order file\n")
        code, out, err = await run(f"{HEADING}\n{ROW}", shop="nobody")
        assert code == 2
        assert "no such shop" in err


def test_what_it_needs_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("ORDO_URL_INGESTION", raising=False)
    with pytest.raises(SystemExit):
        import_file([str(tmp_path / "x.csv"), "--shop", "demo"])
    assert "ORDO_URL_INGESTION" in capsys.readouterr().err
    monkeypatch.setenv("ORDO_URL_INGESTION", "http://127.0.0.1:1")
    monkeypatch.setenv("ORDO_JWT_SECRET", "a secret for tests only, long enough")
    with pytest.raises(SystemExit):
        import_file([str(tmp_path / "x.csv"), "--shop", "demo"])
    (tmp_path / "x.csv").write_text(HEADING)
    assert import_file([str(tmp_path / "x.csv"), "--shop", "demo"]) == 2
    assert "does not answer" in capsys.readouterr().err
