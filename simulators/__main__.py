"""Serves the platforms' doubles: `python -m simulators --port 8090`."""

import argparse
import socket
import sys
from collections.abc import Sequence

import uvicorn

from simulators.app import NAMES, create_app, known_platforms
from simulators.server import config_of

BACKLOG_LIMIT_CONNECTIONS = 1024


def main(arguments: Sequence[str]) -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m simulators", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0: a free one, which the first line names")
    parser.add_argument("--platforms", default=",".join(NAMES), help="which of them, divided by commas")
    parser.add_argument("--seed", type=int, default=1, help="of shops' names, ids and quirks")
    chosen = parser.parse_args(arguments)
    app = create_app(chosen.seed, known_platforms(chosen.platforms.split(",")))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((chosen.host, chosen.port))
        listener.listen(BACKLOG_LIMIT_CONNECTIONS)  # who reads the next line may call at once
        port = listener.getsockname()[1]
        print(f"platforms' doubles on http://{chosen.host}:{port} (control API: /docs)", flush=True)
        uvicorn.Server(config_of(app, chosen.host, port)).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1:])
