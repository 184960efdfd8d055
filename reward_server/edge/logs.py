"""How the server logs: lines for people, or one JSON object a line; neither ever holds a prompt or a key.

Exceptions are logged with their type and frames but without their message, which may quote the caller's text.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from judge.settings import Settings

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FIELDS = "fields"
"""Name under which a log call gives its fields: ``logger.info("...", extra={"fields": {...}})``."""
request_fields: ContextVar[Mapping[str, str] | None] = ContextVar("request_fields", default=None)
"""Fields of the request that is being handled (``request_id``, ``trace_id``), for every line logged meanwhile."""


class LoggingSettings(Settings):
    """Table ``[logging]``."""

    format: Literal["text", "json"] = "text"
    """``json``: one object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"


class TextFormatter(logging.Formatter):
    """The usual line."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Where it happened and of which type, never what it said."""
        kind, _, frames = ei
        where = "".join(traceback.format_tb(frames))
        return f"{where}{getattr(kind, '__name__', kind)}"


class JsonFormatter(TextFormatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, and the fields of line and request."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= request_fields.get() or {}
        fields |= getattr(record, FIELDS, {})
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def set_up_logging(settings: LoggingSettings) -> None:
    """Send everything to stderr in the asked format, unless the process has set up its logging already."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler])
