"""JSON payloads: how they are loaded, and what a field of them holds.

What most payloads are goes the shortest way, through the library that the variant names. Only one that
this library refuses goes a second, slower way, which loses a character or a number and not the call.
"""

import json
import math
import re
from typing import Any

from runner_agent.wire.decoding import SHOWN_LIMIT, Load, Malformed, shortened, unicode

# Deepest nesting of a payload.
DEPTH_LIMIT = 512
# Greatest count that every reader of the record can hold exactly.
GREATEST = 2**53
# Where an object among the parts of a text may have its own.
PART_FIELDS = ("text", "thinking", "reasoning", "summary", "content")

# A text, which may hold brackets that nest nothing, or a bracket.
TEXT_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)

# How a text ends within an escape, and what of a number that is no whole one the decoder leaves.
CUT_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{0,3})?\Z")
CUT_NUMBER = re.compile(r"\.|[eE][+-]?")


class CutOff(Malformed):
    """The payload ends where more of it was expected."""


def loader(name: str) -> Load:
    """The library of this name (`stdlib`, `orjson`)."""
    if name == "orjson":
        import orjson

        return orjson.loads
    decode = json.JSONDecoder(parse_constant=no_number).decode
    return lambda payload: decode(payload.decode())


def no_number(name: str) -> None:
    """`NaN`, `Infinity` and `-Infinity` are null."""


def whole_number(digits: str) -> float:
    """Python refuses to read very long ones, of which it is enough to know that they are beyond bounds."""
    return int(digits) if len(digits) <= 20 else float(digits)


LENIENT = json.JSONDecoder(parse_constant=no_number, parse_int=whole_number)


def parse(load: Load, payload: bytes) -> dict:
    """One payload as a JSON object."""
    # Fewer bytes cannot open and close more levels than are allowed.
    if len(payload) > 2 * DEPTH_LIMIT and is_too_deep(payload):
        raise not_allowed(f"nested deeper than {DEPTH_LIMIT} levels", payload)
    try:
        value = load(payload)
    except ValueError:
        value = load_leniently(payload)
    if not isinstance(value, dict):
        raise not_allowed("no JSON object", payload)
    return value


def load_leniently(payload: bytes) -> Any:
    text = payload.decode(errors="replace")
    try:
        return LENIENT.decode(text)
    except json.JSONDecodeError as error:
        kind = CutOff if ends_early(text, error) else Malformed
        raise not_allowed(str(error), payload, kind) from error


def ends_early(text: str, error: json.JSONDecodeError) -> bool:
    """Whether a text is JSON from its beginning on, whose end is missing."""
    text = text.rstrip(" \t\r\n") if error.msg.startswith("Expecting") else text
    begins = text.lstrip(" \t\r\n").startswith(("{", "[", '"'))
    if not begins or error.msg.startswith("Extra data"):
        return False
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return True
    if "escape" in error.msg:
        return CUT_ESCAPE.search(text, max(0, error.pos - 1)) is not None and len(text) - error.pos < 6
    rest = text[error.pos :]
    if rest == "-" or any(word.startswith(rest) for word in ("true", "false", "null")):
        return True
    return CUT_NUMBER.fullmatch(rest) is not None and text[error.pos - 1].isdigit()


def is_json(payload: bytes) -> bool:
    """Whether it is JSON, of whatever kind."""
    try:
        load_leniently(payload)
    except Malformed:
        return False
    except RecursionError:
        pass
    return True


def is_too_deep(payload: bytes) -> bool:
    if payload.count(b"{") + payload.count(b"[") <= DEPTH_LIMIT:
        return False
    depth = 0
    for found in TEXT_OR_BRACKET.finditer(payload):
        bracket = found[0]
        if bracket in (b"{", b"["):
            depth += 1
            if depth > DEPTH_LIMIT:
                return True
        elif bracket in (b"}", b"]"):
            depth -= 1
    return False


def not_allowed(reason: str, payload: bytes, kind: type[Malformed] = Malformed) -> Malformed:
    shown = shortened(payload.decode(errors="replace"), SHOWN_LIMIT)
    return kind(f"a line of the stream is not what its protocol allows ({reason}): {shown}")


def text_of(value: object, payload: bytes) -> str:
    """A field that holds text, nothing, or a list of parts that do."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if not isinstance(value, list):
        raise not_allowed("a text was expected", payload)
    text = ""
    for part in value:
        text += part_text(part, payload)
    return text


def joined(thought: object, text: object, payload: bytes) -> str:
    """What a model thinks and what it says, of one record or event."""
    if thought is None and type(text) is str:  # most of them
        return text
    return text_of(thought, payload) + text_of(text, payload)


def part_text(part: object, payload: bytes) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise not_allowed("a text or an object was expected", payload)
    for name in PART_FIELDS:
        text = text_of(part.get(name), payload)
        if text:
            return text
    return ""


def reason_of(value: object, payload: bytes) -> str:
    """Why an answer ended; empty where nothing tells it."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise not_allowed("the reason of the end is no text", payload)
    return unicode(value)


def object_of(value: object, payload: bytes) -> dict | None:
    """A field that holds an object or nothing."""
    if value is None or isinstance(value, dict):
        return value
    raise not_allowed("an object was expected", payload)


def count(value: object) -> int | None:
    """A count or duration; servers write `1000`, some `1e3`. What cannot be one is unknown."""
    if not is_amount(value):
        return None
    return value if isinstance(value, int) else math.floor(value + 0.5)


def milliseconds(value: object) -> int | None:
    """Milliseconds with a fraction as whole nanoseconds."""
    return count(value * 1e6) if is_amount(value) else None


def total(first: int | None, *others: int | None) -> int | None:
    """The sum of counts, where the first is known; others may not be told."""
    return None if first is None else count(first + sum(other or 0 for other in others))


def is_amount(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= GREATEST
