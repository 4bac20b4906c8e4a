"""Tries rules in a process of its own: content without end costs its sender the answer, and nobody anything."""

import asyncio
import importlib
import os
import resource
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from libs.rules.graph import RuleFailed
from libs.rules.proof import RuleRefused, Vocabulary, compile_graph

CPU_LIMIT_S = 2
MEMORY_LIMIT_MIB = 256
ANSWER_LIMIT_BYTES = 1024 * 1024
WAIT_LIMIT_S = 10
TOO_LARGE = f"the rules, their examples or the facts go too deep, or need more than {MEMORY_LIMIT_MIB} MiB"
ROOT = Path(__file__).parents[2]
_POLITENESS_NICE = 10  # orders are decided beside it

_one_at_a_time = asyncio.Lock()


class Question(msgspec.Struct):
    """What is asked: `words` is the module whose VOCABULARY the rules speak of (`services.risk.domain`)."""

    words: str
    content: Any
    facts: dict[str, Any]


class Verdict(msgspec.Struct, omit_defaults=True):
    """What came of it: an answer, or every reason why there is none."""

    answer: dict[str, Any] | None = None
    refused: list[str] = []
    failed: str = ""


async def tried(words: str, content: Any, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the answer of `content` to `facts` (what they leave out is unremarkable), screened, compiled and proven.

    `words` is the module whose VOCABULARY the rules speak of. Raises RuleRefused with every reason, also for content
    that takes more than CPU_LIMIT_S or MEMORY_LIMIT_MIB; RuleFailed if it has no answer to these facts.
    """
    try:
        question = msgspec.json.encode(Question(words, content, dict(facts or {})))
    except (TypeError, ValueError, RecursionError, OverflowError):
        raise RuleRefused(["content and facts must be plain JSON"]) from None
    try:
        async with asyncio.timeout(WAIT_LIMIT_S), _one_at_a_time:
            verdict = await _ask(question)
    except TimeoutError:
        raise RuleRefused([f"not tried within {WAIT_LIMIT_S} s: other rules are being tried, try again"]) from None
    if verdict.failed:
        raise RuleFailed(verdict.failed)
    if verdict.answer is None:
        raise RuleRefused(verdict.refused)
    return verdict.answer


async def _ask(question: bytes) -> Verdict:
    # No environment: the rules' process has no use for the service's secrets.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, cwd=ROOT, env={}, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        said, _ = await process.communicate(question)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == -signal.SIGXCPU:
        return Verdict(refused=[f"the rules and their examples take more than {CPU_LIMIT_S} s"])
    if process.returncode is not None and process.returncode < 0:
        return Verdict(refused=[TOO_LARGE])
    if process.returncode:
        raise RuntimeError(f"rules could not be tried: their process ended with {process.returncode}")
    return msgspec.json.decode(said, type=Verdict)


def _judge(question: Question) -> Verdict:
    words: Vocabulary = importlib.import_module(question.words).VOCABULARY
    try:
        answer = compile_graph(question.content, 0, words).evaluate(words.complete(question.facts))
    except RuleRefused as refusal:
        return Verdict(refused=refusal.reasons)
    except RuleFailed as failure:
        return Verdict(failed=str(failure))
    except (MemoryError, RecursionError):
        return Verdict(refused=[TOO_LARGE])
    return Verdict(answer=answer)


def main() -> None:
    """Answer the one question on standard input."""
    os.nice(_POLITENESS_NICE)
    memory_bytes = MEMORY_LIMIT_MIB * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    said = msgspec.json.encode(_judge(msgspec.json.decode(sys.stdin.buffer.read(), type=Question)))
    if len(said) > ANSWER_LIMIT_BYTES:
        said = msgspec.json.encode(
            Verdict(refused=[f"the answer has {len(said)} bytes, the limit is {ANSWER_LIMIT_BYTES}"])
        )
    sys.stdout.buffer.write(said)


if __name__ == "__main__":
    main()
