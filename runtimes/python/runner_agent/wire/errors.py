"""Errors, as a status or inside a stream whose status was a success, in every shape that is met."""

import json

from runner_agent.wire.decoding import BLANKS, Malformed, shortened, unicode
from runner_agent.wire.payload import load_leniently
from runner_agent.wire.refusal import web_page

# How data begin that are an error in plain words, in any case.
WORD = b"error:"
# What is said for an error that says nothing.
WORDLESS = "an error without a message"


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
    data = data.strip(BLANKS)
    if data[: len(WORD)].lower() != WORD:
        return None
    return told_by(data[len(WORD) :])


def error_line(line: bytes) -> str | None:
    """The server's words in a line of its own; a field without a colon is empty."""
    return WORDLESS if line.strip(BLANKS).lower() == WORD[:-1] else error_words(line)


def error_body(body: bytes) -> str | None:
    """The server's words in the body of a response whose status is an error; a web page by its title."""
    return web_page(body.decode(errors="replace")) or said_by(body) or None


def told_by(data: bytes) -> str:
    """The server's words in data that are an error whatever they hold; never empty."""
    return said_by(data) or WORDLESS


def said_by(data: bytes) -> str:
    try:
        value = load_leniently(data)
    except (Malformed, RecursionError):
        return shortened(data.strip(BLANKS).decode(errors="replace"))
    return message_in(value) if isinstance(value, dict) else in_words(value)


def message_in(value: dict) -> str:
    """The first of the fields that servers use for it, or all of the object."""
    error = value.get("error")
    inside = error.get("message") if isinstance(error, dict) else None
    fields = (inside, error, value.get("message"), value.get("detail"), value.get("text"))
    return in_words(next((field for field in fields if field), value))


def in_words(value: object) -> str:
    """A text, or JSON in the shortest form."""
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return shortened(unicode(value))
