"""The jar cache: nothing enters it unchecked, two fetchers do not meet, and odd homes do not break it."""

import hashlib
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from libs.testkit.embedded import cache, fetch, kafka_install

CONTENTS = {"one": b"first jar", "two": b"second jar"}


class Repository:
    """Stands in for the resolver: writes a jar into its place, as the real one does, and counts."""

    def __init__(self, contents: dict[str, bytes], broken_tries: int = 0) -> None:
        self.contents = contents
        self.broken_tries = broken_tries
        self.asked = 0
        self.folder = Path()

    def __call__(self, folder: Path) -> "Repository":
        self.folder = folder
        return self

    def project(self, _group: str, artifact: str) -> Any:
        path = self.folder / artifact

        def resolve() -> str:
            assert not path.exists(), "the real resolver refuses to overwrite"
            self.asked += 1
            broken = self.asked <= self.broken_tries
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"half" if broken else self.contents[artifact])
            if broken:
                raise OSError("connection reset")
            return str(path)

        found = SimpleNamespace(cached_path=path, resolve=resolve)
        return SimpleNamespace(at_version=lambda _version: SimpleNamespace(artifact=lambda: found))


@pytest.fixture
def lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kafka.lock"
    lines = [f"{hashlib.sha256(data).hexdigest()} {len(data)} org.x:{name}:1.0\n" for name, data in CONTENTS.items()]
    path.write_text("".join(lines))
    monkeypatch.setenv("ORDO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "LOCK_FILE", path)
    monkeypatch.setattr(fetch, "RETRY_DELAY_S", 0.0)
    monkeypatch.setattr(fetch.pinned_jars, "__defaults__", (path,))
    return path


def use(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_maven_context", repository)


def test_the_shipped_lock_file_pins_every_jar() -> None:
    jars = fetch.pinned_jars()
    assert len(jars) == 45
    assert all(len(jar.sha256) == 64 for jar in jars)
    assert len({jar.file_name for jar in jars}) == 45
    assert "kafka_2.13-4.4.0.jar" in {jar.file_name for jar in jars}


@pytest.mark.usefixtures("lock_file")
def test_jars_are_fetched_once_in_class_path_order(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(CONTENTS)
    use(repository, monkeypatch)
    told: list[str] = []
    paths = fetch.ensure_jars(told.append)
    assert [path.read_bytes() for path in paths] == list(CONTENTS.values())
    assert told == ["Kafka jars 2/2 (0.0 of 0.0 MB)"]
    assert fetch.ensure_jars() == paths
    assert repository.asked == 2
    assert sorted(path.name for path in fetch.kafka_folder().iterdir()) == ["jars"]


@pytest.mark.usefixtures("lock_file")
def test_a_jar_with_other_content_is_refused_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    use(Repository({**CONTENTS, "two": b"other jar!"}), monkeypatch)
    with pytest.raises(fetch.JarsNotFetched, match=r"org\.x:two:1\.0 .*sha256"):
        fetch.ensure_jars()
    assert list(fetch.kafka_folder().iterdir()) == []


@pytest.mark.usefixtures("lock_file")
def test_a_broken_download_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(CONTENTS, broken_tries=2)
    use(repository, monkeypatch)
    assert len(fetch.ensure_jars()) == 2
    assert repository.asked == 4


@pytest.mark.usefixtures("lock_file")
def test_a_damaged_cache_is_filled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    use(Repository(CONTENTS), monkeypatch)
    fetch.ensure_jars()[0].write_bytes(b"cut")
    assert fetch.ensure_jars()[0].read_bytes() == CONTENTS["one"]


@pytest.mark.usefixtures("lock_file")
def test_two_fetchers_at_once_fetch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(CONTENTS)
    use(repository, monkeypatch)
    threads = [threading.Thread(target=fetch.ensure_jars) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    assert repository.asked == 2


def test_the_lock_gives_up_after_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDO_CACHE", str(tmp_path))
    with (
        cache.cache_lock("x"),
        pytest.raises(TimeoutError, match=r"x\.lock was held"),
        cache.cache_lock("x", lock_limit_s=0.0),
    ):
        pytest.fail("the lock was given twice")


@pytest.mark.parametrize("home", ["", "/nonexistent", "relative/home"])
def test_an_odd_home_still_gives_a_cache(home: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ORDO_CACHE", raising=False)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(cache.pwd, "getpwuid", lambda _uid: SimpleNamespace(pw_dir=str(tmp_path)))
    assert cache.cache_folder() == tmp_path / ".cache" / "ordo"


def test_without_any_home_the_cache_is_private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ORDO_CACHE", raising=False)
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(cache.pwd, "getpwuid", lambda _uid: SimpleNamespace(pw_dir="/nonexistent"))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = cache.cache_folder()
    assert folder == tmp_path / f"ordo-cache-{os.geteuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="not ours alone"):
        cache.cache_folder()


def test_kafka_ids_are_new_each_time_and_never_look_like_options() -> None:
    ids = {kafka_install.random_kafka_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(len(text) == 22 and not text.startswith("-") for text in ids)
