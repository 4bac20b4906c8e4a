"""The house rules bite: the tool that guards each one refuses its violation, and the tree itself keeps them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts.topics import SERVICES

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["root_packages"]
COMMAND_LIMIT_S = 60
AT_ONCE = 2
LINES_LIMIT = 400
CODE = (".py", ".sh", ".js", ".html", ".css")

UPWARD = "services import libs, libs import contracts, never upward"
SIDEWAYS = "no service imports another"
LAYERS = "every service has the same layers, and no others"
STACK = "libs are stacked too"
PURE = "decisions and contracts do no I/O, read no clock, roll no dice"
KAFKA = "only libs.stream speaks Kafka"

# What is done, to which file (a new one if it ends in a name nobody has), and which contracts refuse it.
IMPORTS = {
    "a service imports another": ("services/risk/handlers.py", "import services.inventory.store", {SIDEWAYS}),
    "a domain imports another's": ("services/risk/domain/rows.py", "import services.routing.domain", {SIDEWAYS}),
    "a clock in a domain file": ("services/ingestion/domain/orders.py", "import time", {PURE}),
    "a clock in a domain folder": ("services/tower/domain/fold.py", "import time", {PURE}),
    "dice in a domain": ("services/routing/domain/planning.py", "import random", {PURE}),
    "a database in a domain": ("services/inventory/domain/assign.py", "import sqlalchemy", {PURE}),
    "a new domain module reads the clock": ("services/risk/domain/fresh.py", "from time import time", {PURE}),
    "a clock in contracts": ("contracts/orders.py", "import time", {PURE}),
    "a clock in libs.decide": ("libs/decide/state.py", "import time", {PURE}),
    "aiokafka in a service": ("services/tower/app.py", "import aiokafka", {KAFKA}),
    "aiokafka in libs.runtime": ("libs/runtime/service.py", "from aiokafka import AIOKafkaProducer", {KAFKA}),
    "aiokafka in the stack": ("deploy/local/stack.py", "import aiokafka.errors", {KAFKA}),
    "one more module in a service": ("services/risk/utilities.py", "", {LAYERS}),
    "one more folder in a service": ("services/tower/shared/__init__.py", "", {LAYERS}),
    "a domain imports its store": ("services/risk/domain/review.py", "import services.risk.store", {LAYERS}),
    "an api imports the handlers": ("services/notification/api.py", "import services.notification.handlers", {LAYERS}),
    "contracts import libs": ("contracts/risk.py", "import libs.regions", {UPWARD}),
    "libs import services": ("libs/rules/tokens.py", "import services.risk.settings", {UPWARD}),
    "services import the demo": ("services/risk/app.py", "import demo.orders", {UPWARD}),
    "the stream imports the runtime": ("libs/stream/log.py", "import libs.runtime.clock", {STACK}),
}  # fmt: skip
_TODAY = "from datetime import UTC, date, datetime\n"
LINES = {
    "datetime.now in a domain": ("services/risk/domain/rows.py", _TODAY + "NOW = datetime.now(UTC)", "TID251"),
    "datetime.now in an api": ("services/tower/api.py", _TODAY + "NOW = datetime.now(tz=UTC)", "TID251"),
    "date.today in a domain": ("services/tower/domain/fold.py", _TODAY + "DAY = date.today()", "TID251"),
    "a time without a zone": ("services/tower/store.py", _TODAY + "NOW = datetime(2026, 1, 1)", "DTZ001"),
    "a random id": ("services/risk/handlers.py", "import uuid\nID = uuid.uuid4()", "TID251"),
    "what can lose a cancellation": ("libs/stream/log.py", "import asyncio\nWAIT = asyncio.wait_for", "TID251"),
    "an exception swallowed": ("libs/stream/rows.py", "try:\n    X = 1\nexcept Exception:\n    pass", "BLE001"),
    "print in a service": ("services/risk/store.py", 'print("seen")', "T201"),
    "random where nobody may guess": ("libs/decide/state.py", "import random\nDICE = random.random()", "S311"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code alone, copied once; each violation gets a copy of links to it."""
    target = tmp_path_factory.mktemp("shape") / "tree"
    skipped = shutil.ignore_patterns("tests", "migrations", "__pycache__", "*.gz", "*.json", "examples", "schemas")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, target / package, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def violate(tree: Path, number: int, path: str, line: str) -> Path:
    """Return a copy of the tree in which one file ends with `line`."""
    copy = tree.parent / f"violation-{number}"
    shutil.copytree(tree, copy, copy_function=os.link)
    target = copy / path
    text = target.read_text("utf-8") if target.exists() else '"""A file that nobody needs."""\n'
    target.unlink(missing_ok=True)  # it is a link: never write through it
    target.parent.mkdir(exist_ok=True)
    target.write_text(f"{text}{line}\n", "utf-8")
    return copy


def run(folder: Path, *command: str) -> tuple[int, str]:
    """Run a tool there, as `make check` would here."""
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=folder,
        env={**os.environ, "COLUMNS": "300", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def lint_imports(folder: Path) -> tuple[int, set[str], str]:
    status, said = run(folder, "lint-imports", "--no-logo", "--no-cache")
    return status, set(re.findall(r"^(.+) BROKEN", said, re.MULTILINE)), said


def test_import_linter_refuses_each_violation_by_its_contract(tree: Path) -> None:
    status, broken, said = lint_imports(tree)
    assert (status, broken) == (0, set()), said

    def refused(numbered: tuple[int, str]) -> tuple[str, int, set[str], str]:
        number, name = numbered
        path, line, _ = IMPORTS[name]
        return (name, *lint_imports(violate(tree, number, path, line)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, status, broken, said in pool.map(refused, enumerate(IMPORTS)):
            assert IMPORTS[name][2] <= broken, f"{name}\n{said}"
            assert status == 1, name


def test_ruff_refuses_each_violation_by_its_rule(tree: Path) -> None:
    for number, (name, (path, line, rule)) in enumerate(LINES.items(), len(IMPORTS)):
        copy = violate(tree, number, path, line)
        status, said = run(copy, "ruff", "check", "--no-cache", "--output-format", "concise", path)
        assert status == 1, name
        assert f" {rule} " in said, f"{name}\n{said}"
        assert run(tree, "ruff", "check", "--no-cache", "--quiet", path) == (0, ""), f"{path} itself is fine"


# -- the tree itself -------------------------------------------------------------------------------------------------


def kept() -> list[Path]:
    """Every file that is, or would be, in git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=COMMAND_LIMIT_S,
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def offenders(wrong: Callable[[str], bool], files: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in files if wrong(path.read_text("utf-8"))]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    found = kept()
    assert len(found) > 300
    return found


@pytest.fixture(scope="module")
def texts(files: list[Path]) -> list[Path]:
    """Those that are text."""
    return [path for path in files if b"\0" not in path.read_bytes()[:8_000] and path.suffix != ".gz"]


@pytest.fixture(scope="module")
def modules(files: list[Path]) -> list[Path]:
    return [path for path in files if path.suffix == ".py"]


def test_no_file_of_code_is_longer_than_a_reader_can_hold(files: list[Path]) -> None:
    code = [path for path in files if path.suffix in CODE or path.name in ("Makefile", "Dockerfile")]
    assert offenders(lambda text: text.count("\n") > LINES_LIMIT, code) == []


def test_nothing_is_left_for_later(texts: list[Path]) -> None:
    marks = re.compile("|".join(rf"\b{a}{b}\b" for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK"))))
    assert offenders(lambda text: bool(marks.search(text)), texts) == []


def test_no_file_names_a_registry_or_a_path_of_this_machine(texts: list[Path]) -> None:
    hosts = ["py" + "pi.org", "python" + "hosted.org", "repo." + "maven", "repo1." + "maven", "npm" + "js.org"]
    hosts += ["proxy." + "golang.org", "crates" + ".io", "arti" + "factory", "index" + "-url"]
    places = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Use" + "rs/"]
    words = re.compile("|".join(map(re.escape, hosts + places)) + "|(?<!/var)/tmp/" + "ordo")
    assert offenders(lambda text: bool(words.search(text)), texts) == []


def test_each_module_opens_with_one_line_that_says_what_it_promises(modules: list[Path]) -> None:
    silent = []
    for path in modules:
        text = path.read_text("utf-8")
        line = text.removeprefix('"""').split("\n")[0].removesuffix('"""')
        promise = text.startswith('"""') and len(line) >= 20 and line[-1] in ".…"
        if not (promise or line.startswith("ordo.") or (path.name == "__init__.py" and not text)):
            silent.append(f"{path.relative_to(ROOT)}: {line!r}")
    assert silent == []


def test_no_module_is_named_after_nothing(modules: list[Path]) -> None:
    empty = {"util", "utils", "helper", "helpers", "manager", "managers", "base", "common", "misc", "impl", "core"}
    assert [str(path.relative_to(ROOT)) for path in modules if path.stem in empty] == []
    words = re.compile(r"class \w*(Impl|Manager|Helper|Util|Utils)\b")
    assert offenders(lambda text: bool(words.search(text)), modules) == []


def test_tests_and_migrations_are_no_packages(files: list[Path]) -> None:
    packages = [str(p) for p in files if p.name == "__init__.py" and {"tests", "migrations"} & set(p.parts)]
    assert packages == []


def test_all_services_have_the_same_files_and_no_others(files: list[Path]) -> None:
    wanted = {"__init__", "__main__", "app", "settings", "api", "handlers", "domain", "store"}
    wanted |= {"migrations", "tests", "README"}
    for name in SERVICES:
        inside = [
            path.relative_to(ROOT / "services" / name) for path in files if f"/services/{name}/" in path.as_posix()
        ]
        assert {path.parts[0].split(".")[0] for path in inside} == wanted, name
        assert (ROOT / "services" / name / "__init__.py").read_text("utf-8") == "", f"{name}: it holds nothing"
        assert (ROOT / "services" / name / "README.md").stat().st_size > 500, name


def test_nobody_but_the_stream_commits(modules: list[Path]) -> None:
    commits = re.compile(r"\.commit\(|\bBEGIN\b|engine\.begin\(|\.transaction\(\)")
    scope = [p for p in modules if p.relative_to(ROOT).parts[0] == "services" and "tests" not in p.parts]
    assert offenders(lambda text: bool(commits.search(text)), scope) == []


def test_only_the_clock_reads_the_wall_clock(modules: list[Path]) -> None:
    reads = re.compile(r"\bdatetime\.now\(|\btime\.time\(\)|\butcnow\(")
    scope = [p for p in modules if p.relative_to(ROOT).parts[0] in ("contracts", "libs", "services")]
    scope = [p for p in scope if "tests" not in p.parts]
    found = offenders(lambda text: bool(reads.search(text)), scope)
    assert [path for path in found if not path.startswith("libs/testkit/")] == ["libs/runtime/clock.py"]
