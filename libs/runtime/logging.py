"""Structured logs: one JSON object a line on standard output, for people and machines alike."""

import logging
import sys

import structlog


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
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format='{"level":"%(levelname)s","event":"%(name)s"}')
    # aiokafka logs every lost connection as an error with its internals; what matters of it is in our own lines.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # httpx logs whole URLs, and providers want phone numbers and tokens in theirs.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
