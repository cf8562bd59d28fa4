"""Errors inside a stream whose status was a success, in every shape that servers give them."""

import json

from runner_agent.wire.decoding import Malformed, shortened, unicode
from runner_agent.wire.payload import load_leniently

# How data begin that are an error in plain words, in any case.
WORD = b"error:"


def error_in(value: dict) -> str | None:
    """The server's words, if this object is an error."""
    if (
        value.get("error")
        or value.get("error_code")
        or value.get("object") == "error"
        or value.get("type") == "error"
    ):
        return message_in(value)
    return None


def error_words(data: bytes) -> str | None:
    """The server's words, if data that are no JSON begin with `error:`."""
    data = data.strip()
    if data[: len(WORD)].lower() != WORD:
        return None
    return told_by(data[len(WORD) :]) or shown(data)


def told_by(data: bytes) -> str:
    """The server's words in data that are an error whatever they hold."""
    try:
        value = load_leniently(data)
    except (Malformed, RecursionError):
        return shown(data)
    if isinstance(value, dict):
        return message_in(value)
    return shortened(unicode(value)) if isinstance(value, str) else shown(data)


def message_in(value: dict) -> str:
    """The first of the fields that servers use for it, or all of the object."""
    error = value.get("error")
    inside = error.get("message") if isinstance(error, dict) else None
    fields = (inside, error, value.get("message"), value.get("detail"), value.get("text"))
    found = next((field for field in fields if field), value)
    if not isinstance(found, str):
        found = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return shortened(unicode(found))


def shown(data: bytes) -> str:
    return shortened(data.decode(errors="replace").strip())
