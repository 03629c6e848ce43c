"""Log lines: structlog in front of the standard library's logging, one pipeline for our lines and everybody else's.

A line has an `event`, a stable snake_case word that programs look for, and a `message`, a sentence for people; further
keys are details. Everything goes to stderr, as text on a terminal and as JSON lines in service; where stderr leads to
systemd's journal, it goes there by the journal's own protocol, so that each detail is a field that can be searched for.
A log call never raises: what cannot be written is written as well as it can be, or dropped.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sys
from datetime import datetime
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from qcore.server.runtime import budgets
from qcore.server.runtime.events import EVENTS
from qcore.server.runtime.journal import JournalSocket, stderr_is_journal

__all__ = ["configure", "get", "goes_to_journal", "note_role"]

_LIBRARY_EVENT = "library_message"
_HEAD = ("timestamp", "level", "logger", "event", "message", "node")
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {9: "\\t", 10: "\\n", 13: "\\r"}
_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Those of syslog."""
_place: dict[str, str] = {}
"""Role and term of the node, as fields of the journal."""
_ESCAPES_IN_TRACEBACK = {code: text for code, text in _ESCAPES.items() if code not in b"\n\t"}


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger `name`: ``log.info("listening", message="Listening on ws://...", url=...)``.

    It may be taken before `configure`, which decides about every logger's level and form at the time of each call.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        structlog.stdlib.LoggerFactory()(name),  # a logger that knows where it was called, behind structlog
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        cache_logger_on_first_use=True,
    )
    return logger


def configure(level: str, format: str, node: int) -> None:
    """Send every log line of the process to stderr or the journal; may be called again to change it.

    `level` is debug, info, warning or error; `format` is text, json or auto (the journal where stderr leads there, text
    on a terminal, else JSON lines).
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, (_StderrHandler, _JournalHandler))]:
        root.removeHandler(handler)
        handler.close()
    journal = JournalSocket()
    if format == "auto" and stderr_is_journal() and journal.connect():
        root.addHandler(_JournalHandler(journal, node))
    else:
        root.addHandler(_StderrHandler(_formatter(format, node)))
    root.setLevel(level.upper())
    # At debug level websockets writes out every frame: other people's data, and thousands of lines a second.
    logging.getLogger("websockets").setLevel(max(root.level, logging.INFO))
    logging.captureWarnings(True)


def goes_to_journal() -> bool:
    """Whether the lines of this process go to the journal."""
    return any(isinstance(handler, _JournalHandler) for handler in logging.getLogger().handlers)


def note_role(role: str, term: int) -> None:
    """Have the lines of the journal say which role the node has from now on."""
    _place.update(QCORE_ROLE=role, QCORE_TERM=str(term))


class _JournalHandler(logging.Handler):
    """Sends lines to the journal; those that it does not take are counted, and the count is told as soon as it does."""

    def __init__(self, journal: JournalSocket, node: int) -> None:
        super().__init__()
        self._journal = journal
        self._complete = _Complete(node)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # a line that fails has nowhere left to say so
            if self._lost and self._journal.send(_lost_fields(self._lost)):
                self._lost = 0
            self._lost += not self._journal.send(self._fields(record))

    def close(self) -> None:
        self._journal.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        if isinstance(record.msg, dict):
            line: EventDict = dict(record.msg)
        else:
            line = _from_library(None, "", {"event": _message_of(record)})
        line["_record"] = record
        return _journal_fields(_plain(None, "", self._complete(None, "", line)), record)


def _journal_fields(line: EventDict, record: logging.LogRecord) -> dict[str, str]:
    """A complete line of plain values as fields: each detail is one, under a name of qcore's own."""
    for internal in ("_record", "_from_structlog", "timestamp"):
        line.pop(internal, None)
    level, event, message = line.pop("level"), str(line.pop("event")), str(line.pop("message"))
    exception = line.pop("exception", None)
    fields = {
        "MESSAGE": message if exception is None else f"{message}\n{exception}",
        "PRIORITY": str(_PRIORITIES.get(level, 6)),
        "SYSLOG_IDENTIFIER": "qcore",
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
        "QCORE_EVENT": event,
    }
    if event in EVENTS:
        fields["MESSAGE_ID"] = EVENTS[event].id
    details = {f"QCORE_{name.upper()}": _field(value) for name, value in line.items() if value is not None}
    return fields | _place | details


def _lost_fields(count: int) -> dict[str, str]:
    return {
        "MESSAGE": f"{count} log lines were lost: journald did not take them",
        "MESSAGE_ID": EVENTS["log_lines_lost"].id,
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "qcore",
        "QCORE_EVENT": "log_lines_lost",
        "QCORE_COUNT": str(count),
    }


def _field(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # such as a library's "%d" with a text
        return _text(record.msg)


class _StderrHandler(logging.Handler):
    """Writes to whatever stderr is at the moment, and gives up on a line rather than raise."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # a line that fails has nowhere left to say so
            stream = sys.stderr
            stream.write(_encodable(self._rendered(record), stream) + "\n")
            stream.flush()

    def _rendered(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception:  # such as a library's "%d" with a text
            broken = {"name": record.name, "levelno": record.levelno, "levelname": record.levelname}
            return self.format(logging.makeLogRecord({**broken, "msg": _text(record.msg), "args": ()}))


def _formatter(form: str, node: int) -> logging.Formatter:
    text = form == "text" or (form == "auto" and _is_terminal(sys.stderr))
    render = _text_renderer(_coloured(sys.stderr)) if text else _render_json
    return structlog.stdlib.ProcessorFormatter(
        processors=[_Complete(node), structlog.stdlib.ProcessorFormatter.remove_processors_meta, _plain, render],
        foreign_pre_chain=[_from_library],
    )


def _from_library(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    line["message"] = str(line["event"]).rstrip()
    line["event"] = _LIBRARY_EVENT
    return line


class _Complete:
    """Adds what every line has; the record knows it, whoever wrote the line."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        record: logging.LogRecord = line["_record"]
        line = self._stamp(logger, method, line)
        line["level"] = record.levelname.lower()
        line["logger"] = record.name
        line["node"] = self._node
        line.setdefault("event", "")
        if line.get("message") is None:
            line["message"] = line["event"]
        if record.exc_info and "exc_info" not in line:
            line["exc_info"] = record.exc_info
        return structlog.processors.format_exc_info(logger, method, line)


def _plain(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Turn every value into what both renderers can write, the usual keys first."""
    ordered = [key for key in _HEAD if key in line] + [key for key in line if key not in _HEAD]
    return {_text(key): _value(line[key]) for key in ordered}


def _value(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if type(value) in (str, int) or (type(value) is float and math.isfinite(value)):
        return value
    if depth < budgets.LOGGED_DEPTH and type(value) is dict:
        return {_text(key): _value(item, depth + 1) for key, item in value.items()}
    if depth < budgets.LOGGED_DEPTH and type(value) in (list, tuple):
        return [_value(item, depth + 1) for item in value]
    return _text(value)


def _text(value: Any) -> str:
    try:
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {value}"
        return str(value) if isinstance(value, (str, os.PathLike)) else repr(value)
    except Exception:  # somebody's __repr__ is no reason to lose the line
        return f"<{type(value).__name__} that cannot be shown>"


def _render_json(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    return json.dumps(line)


def _text_renderer(colours: bool) -> structlog.typing.Processor:
    console = structlog.dev.ConsoleRenderer(
        0,  # columns the message is padded to
        colors=colours,
        event_key="message",
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )

    def render(logger: WrappedLogger, method: str, line: EventDict) -> str:
        del line["event"], line["node"]
        line["timestamp"] = _local_time(str(line["timestamp"]))
        exception = line.pop("exception", None)
        line = {key: value.translate(_ESCAPES) if isinstance(value, str) else value for key, value in line.items()}
        if exception is not None:
            line["exception"] = str(exception).translate(_ESCAPES_IN_TRACEBACK)
        return str(console(logger, method, line))

    return render


def _local_time(stamp: str) -> str:
    return datetime.fromisoformat(stamp).astimezone().isoformat(" ", "milliseconds")[:-6]  # people know their zone


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _coloured(stream: TextIO | None) -> bool:
    return _is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)
