"""`python -m deploy.local up|down|status|logs|reset`: the whole product on one machine, in the background."""

import argparse
import os
import sys

from deploy.local import stack
from deploy.local.layout import Layout, Ports, WrongSetting, layout_from, make_folders, ports_from
from deploy.local.logs import follow_logs, log_names, show_logs
from deploy.local.plan import choose_servers, env_file_text, ports_in_use, stack_environment, stack_plan
from deploy.local.secret_files import ensure_secrets
from libs.testkit.embedded.fetch import JarsNotFetched
from libs.testkit.embedded.kafka import prepare_kafka
from libs.testkit.embedded.postgres import postgres_url, prepare_postgres, remove_postgres_data
from libs.testkit.embedded.server import ServerDidNotStart

FAILED, INTERRUPTED = 1, 130


def say(message: str) -> None:
    try:
        print(message, flush=True)
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; that must not stop what we are doing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prepare_launch(layout: Layout, ports: Ports) -> stack.Launch:
    """Settles secrets, addresses and data folders, fetching what the first start needs."""
    make_folders(layout)
    environ = dict(os.environ)
    mode = environ.get("ORDO_SERVICES", "")
    if mode not in {"", "all"}:
        raise WrongSetting(f"ORDO_SERVICES={mode!r}: leave it unset for seven processes, or set it to 'all' for one")
    secrets = ensure_secrets(layout, environ)
    servers = choose_servers(environ, ports, postgres_url(ports.postgres, ""))
    # Before anything is fetched or initialised, and again when it is about to start.
    in_use = ports_in_use(stack_plan(layout, ports, servers, mode), ports)
    stack.check_ports(in_use, ports)
    if servers.own_postgres:
        prepared = prepare_postgres(layout.postgres_data, progress=say)
        servers = choose_servers(environ, ports, postgres_url(ports.postgres, prepared.password))
    if servers.own_kafka:
        prepare_kafka(say)
    plan = stack_plan(layout, ports, servers, mode)
    environment = stack_environment(environ, ports, servers, secrets)
    return stack.Launch(plan, environment, env_file_text(environment, secrets), ports, in_use)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("up", help="start everything and return when every service is ready")
    actions.add_parser("down", help="stop everything; data stays")
    actions.add_parser("status", help="list every process; exit code 0 only when all are ready")
    actions.add_parser("reset", help="stop everything and remove data, secrets and logs")
    logs = actions.add_parser("logs", help="show the end of the logs")
    logs.add_argument("names", nargs="*", help="kafka, postgres, migrate, supervisor or a service; default: all")
    logs.add_argument("-n", "--lines", type=int, default=20)
    logs.add_argument("-f", "--follow", action="store_true")
    return parser.parse_args(arguments)


def run(chosen: argparse.Namespace) -> int:
    layout = layout_from(os.environ)
    if chosen.action == "up":
        ports = ports_from(os.environ)
        stack.up(layout, lambda: prepare_launch(layout, ports), say)
        say(f"addresses and secrets: {layout.env_file}")
        return 0
    if not layout.state.is_dir():
        say("no stack here: `make up` starts one")
        return FAILED if chosen.action == "status" else 0
    if chosen.action == "down":
        stack.down(layout, say)
    elif chosen.action == "reset":
        stack.reset(layout, remove_postgres_data, say)
    elif chosen.action == "status":
        return _status(layout)
    else:
        names = chosen.names or log_names(layout)
        show_logs(layout, names, chosen.lines, say)
        if chosen.follow:
            follow_logs(layout, names, say)
    return 0


def _status(layout: Layout) -> int:
    from rich.console import Console

    from deploy.local.status import show_status, take_status

    status = take_status(layout)
    # A pipe has no width: wide enough that no line is folded.
    show_status(status, Console() if sys.stdout.isatty() else Console(width=200))
    return 0 if status.all_ready else FAILED


def main(arguments: list[str]) -> int:
    try:
        return run(parse(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (stack.StackProblem, WrongSetting, ServerDidNotStart, JarsNotFetched, PermissionError, TimeoutError) as told:
        print(f"ordo: {told}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
