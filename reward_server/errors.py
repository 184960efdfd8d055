"""What the server says when it refuses: one JSON shape for every status, and never a word of the caller's text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pydantic import ValidationError

MAX_FAULTS = 5
"""A reply names this many faults of a body, and the number of the others."""
PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


class ApiError(Exception):
    """A refusal with its HTTP status and a code for programs.

    >>> ApiError(413, "body_too_large", "the body is larger than 10 bytes").status
    413
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def error_body(code: str, message: str, request_id: str) -> bytes:
    """The JSON body of every error reply."""
    return json.dumps({"error": {"code": code, "message": message, "request_id": request_id}}).encode()


def invalid_request(path: str, expected: str) -> ApiError:
    """422 for one field: where it is and what belongs there."""
    return ApiError(422, "invalid_request", f"{path}: {expected}")


def from_validation(error: ValidationError) -> ApiError:
    """422 that names the path of every faulty field and what was expected, and does not repeat the input."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{field_path(fault['loc'])}: {fault['msg']}" for fault in faults[:MAX_FAULTS]]
    if len(faults) > MAX_FAULTS:
        lines.append(f"and {len(faults) - MAX_FAULTS} more")
    return ApiError(422, "invalid_request", "; ".join(lines))


def field_path(loc: tuple[int | str, ...]) -> str:
    """A location as the caller would write it.

    >>> field_path(("groups", 0, "responses", 2, "text"))
    'groups[0].responses[2].text'
    """
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            # An unknown key is the caller's own text: repeated only when it can be nothing but a name.
            path += "." + (part if PLAIN_KEY.fullmatch(part) else "(unknown key)")
    return path.removeprefix(".") or "body"
