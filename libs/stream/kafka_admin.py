"""Makes topics, and for tests unmakes them; nothing else administers the cluster."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError

from contracts.topics import Topic

REQUEST_TIMEOUT_MS = 10_000
LEADERS_TIMEOUT_S = 20.0
BROKER_TIMEOUT_S = 30.0
POLL_S = 0.05
# A broker refuses records from more than an hour ahead, unless it is told not to. A service's time never goes back:
# after a clock was that wrong once, what it committed could not be published until the world had caught up.
FROM_ANY_TIME = {"message.timestamp.after.max.ms": str(2**63 - 1)}


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[Any]:
    admin = await _reached(bootstrap)
    try:
        yield admin
    finally:
        await admin.close()


async def _reached(bootstrap: str) -> Any:
    """Return a client of a broker that answers; one that is still starting is waited for."""
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + BROKER_TIMEOUT_S
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            await admin.start()
        except KafkaConnectionError:
            await admin.close()
            if loop.time() >= ends_s:
                raise
            await asyncio.sleep(POLL_S)
        else:
            return admin


async def create_topics(bootstrap: str, topics: Sequence[Topic], partitions: int, replication: int) -> None:
    """Create what is missing and wait until every partition has a leader; existing topics are left as they are."""
    settings = {
        t.name: {"retention.ms": str(t.retention_ms), "cleanup.policy": "delete", **FROM_ANY_TIME} for t in topics
    }
    await create_plain_topics(bootstrap, settings, partitions, replication)


async def create_plain_topics(
    bootstrap: str, settings: Mapping[str, Mapping[str, str]], partitions: int, replication: int = 1
) -> None:
    """Create topics by name with their settings, those that are missing, and wait for leaders."""
    async with _admin(bootstrap) as admin:
        existing = set(await admin.list_topics())
        missing = [
            NewTopic(name, partitions, replication, topic_configs=dict(some))
            for name, some in settings.items()
            if name not in existing
        ]
        if missing:
            with suppress(TopicAlreadyExistsError):
                await admin.create_topics(missing)
        async with asyncio.timeout(LEADERS_TIMEOUT_S):
            while not await _all_led(admin, list(settings)):
                await asyncio.sleep(POLL_S)


async def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete every topic whose name starts with `prefix`, and wait until they are gone."""
    async with _admin(bootstrap) as admin:
        gone = sorted(topic for topic in await admin.list_topics() if topic.startswith(prefix))
        if gone:
            await admin.delete_topics(gone, timeout_ms=REQUEST_TIMEOUT_MS)
        async with asyncio.timeout(LEADERS_TIMEOUT_S):
            while set(gone) & set(await admin.list_topics()):
                await asyncio.sleep(POLL_S)


async def _all_led(admin: Any, names: list[str]) -> bool:
    found = await admin.describe_topics(names)
    return all(topic["partitions"] and all(p["leader"] >= 0 for p in topic["partitions"]) for topic in found)
