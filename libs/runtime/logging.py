"""Structured logs: one JSON object a line on standard output, for people and machines alike."""

import json
import logging
import sys
import traceback

import structlog


class _JsonLines(logging.Formatter):
    """Says what a library logged in one JSON line: of an exception its type and place, never its text or values."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without the message: libraries put anything into theirs."""
        line = {"level": record.levelname, "event": record.name}
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            line["error"] = record.exc_info[0].__name__
            line["at"] = ", ".join(f"{frame.name}:{frame.lineno}" for frame in frames[-5:])
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str) -> None:
    """Send structlog and the standard library's loggers to standard output as JSON lines."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # aiokafka logs every lost connection as an error with its internals; what matters of it is in our own lines.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # httpx logs whole URLs, and providers want phone numbers and tokens in theirs.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
