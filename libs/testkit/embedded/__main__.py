"""`python -m libs.testkit.embedded postgres|kafka …` becomes the server itself; `fetch` fills the cache beforehand."""

import argparse
import sys
from pathlib import Path

from libs.testkit.embedded.kafka import kafka_command, prepare_kafka
from libs.testkit.embedded.postgres import postgres_command
from libs.testkit.embedded.postgres_install import ensure_programs
from libs.testkit.embedded.server import ServerDidNotStart


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m libs.testkit.embedded", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("fetch", help="fetch and prepare everything, start nothing")
    postgres = actions.add_parser("postgres", help="run Postgres in the foreground")
    kafka = actions.add_parser("kafka", help="run Kafka in the foreground")
    for server in (postgres, kafka):
        server.add_argument("--data-dir", type=Path, required=True)
        server.add_argument("--port", type=int, required=True)
    kafka.add_argument("--controller-port", type=int, required=True)
    chosen = parser.parse_args(arguments)
    if chosen.action == "postgres":
        postgres_command(chosen.data_dir, chosen.port).replace_this_process()
    if chosen.action == "kafka":
        kafka_command(
            chosen.data_dir, chosen.port, chosen.controller_port, progress=lambda message: print(message, flush=True)
        ).replace_this_process()
    prepare_kafka(lambda message: print(message, flush=True))
    ensure_programs(lambda message: print(message, flush=True))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ServerDidNotStart as told:
        sys.exit(str(told))
