"""Structured logs: an event name and key=value data; readable lines on a terminal, JSON otherwise.

Levels are per component: "info" or "consensus=debug,rpc=warning,info".
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

from cybermiles.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FORMATS = ("auto", "console", "json")


def get_logger(component: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one component of the node."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(component=component)
    return logger


def configure(level: str = "info", style: str = "auto") -> None:
    """Set up logging to stderr. Raises ConfigError for an unknown level or format."""
    if style not in FORMATS:
        raise ConfigError(f'log format "{style}" is unknown; use one of {", ".join(FORMATS)}')
    default, components = parse_levels(level)
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=22, sort_keys=False)
        if console
        else structlog.processors.JSONRenderer()
    )
    lowest = min(default, *components.values()) if components else default
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _level_filter(default, components),
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def parse_levels(text: str) -> tuple[int, dict[str, int]]:
    """Return (default level, level by component) of a level text."""
    default = LEVELS["info"]
    components: dict[str, int] = {}
    for part in text.split(","):
        component, equals, name = part.strip().rpartition("=")
        if name not in LEVELS:
            raise ConfigError(f'log level "{name}" is unknown; use one of {", ".join(LEVELS)}')
        if equals:
            components[component] = LEVELS[name]
        else:
            default = LEVELS[name]
    return default, components


def _level_filter(default: int, components: dict[str, int]) -> Any:  # noqa: ANN401  (structlog's processor)
    def keep(_logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if LEVELS.get(method, 50) < components.get(event.get("component", ""), default):
            raise structlog.DropEvent
        return event

    return keep
