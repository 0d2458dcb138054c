"""Set up logging: readable lines on a terminal, JSON otherwise."""

import logging
import sys

import structlog


def set_up(level: str, form: str) -> None:
    """Send structured log lines to standard error, from `level` on; `form` is auto, console or json."""
    for_people = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if for_people
        else structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # The libraries log each transient error of a device; the product logs what matters, once.
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    for library in ("asyncua", "pymodbus"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
