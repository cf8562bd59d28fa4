"""What both stream decoders have in common: lines, JSON, chunks and the way a stream ends.

Decoders touch no socket: bytes are pushed as they come, and whole chunks are taken.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

# Longest line or event that is accepted, bytes.
LINE_LIMIT = 16 * 1024 * 1024
# Longest text of an error that is kept, characters.
ERROR_LIMIT = 2048

Load = Callable[[bytes], Any]


class Malformed(ValueError):
    """The stream breaks its own protocol."""


class Chunk(NamedTuple):
    """One line or event with a payload."""

    bytes: int
    text: str


class Ending:
    """What the stream has told of its own end so far."""

    def __init__(self) -> None:
        self.complete = False
        self.error: str | None = None
        self.finish_reason: str | None = None
        self.counts: dict[str, int] = {}


class Lines:
    """Splits bytes into lines, however the transport cut them."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self.buffer = bytearray()
        # Everything before it was searched for a line end: a line that comes byte by byte is
        # searched once.
        self.searched = 0
        self.limit = limit

    def push(self, data: bytes) -> None:
        self.buffer += data

    def whole(self) -> Iterator[bytes]:
        """Every whole line, without its end (`\\n` or `\\r\\n`)."""
        buffer, start = self.buffer, 0
        try:
            while (end := buffer.find(b"\n", max(start, self.searched))) >= 0:
                line = bytes(buffer[start:end])
                start = end + 1
                self.check(len(line))
                yield line.removesuffix(b"\r")
            self.check(len(buffer) - start)
        finally:
            del buffer[:start]
            self.searched = len(buffer)

    def rest(self) -> bytes:
        """What is left when the stream has ended without a line end."""
        rest = bytes(self.buffer).removesuffix(b"\r")
        self.buffer.clear()
        self.searched = 0
        return rest

    def check(self, length: int) -> None:
        if length > self.limit:
            raise Malformed(f"a line of the stream is longer than {self.limit} bytes")


def loader(name: str) -> Load:
    """Bytes to JSON, by the library of this name (`stdlib`, `orjson`)."""
    if name == "orjson":
        import orjson

        return orjson.loads
    decode = json.JSONDecoder(parse_constant=no_number).decode
    return lambda payload: decode(payload.decode())


def no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def parse(load: Load, payload: bytes) -> dict:
    """One payload as a JSON object."""
    try:
        value = load(payload)
    except UnicodeDecodeError as error:
        raise Malformed("a line of the stream is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise not_allowed(str(error), payload) from error
    if not isinstance(value, dict):
        raise not_allowed("no JSON object", payload)
    return value


def not_allowed(reason: str, payload: bytes) -> Malformed:
    shown = payload[:200].decode(errors="replace") + ("…" if len(payload) > 200 else "")
    return Malformed(f"a line of the stream is not what its protocol allows ({reason}): {shown}")


def text_of(value: object, payload: bytes) -> str:
    """A field that holds text or nothing."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise not_allowed("a text was expected", payload)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:  # half of a surrogate pair is no character
            raise not_allowed("a text is not Unicode", payload) from error
    return value


def count(value: object) -> int | None:
    """A count or duration; servers write `1000`, some `1e3`. Unknown is None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or value < 0:
        return None
    return round(value)


def milliseconds(value: object) -> int | None:
    """Milliseconds with a fraction as whole nanoseconds."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return count(value * 1e6) if known else None


def error_message(error: object) -> str:
    """The message inside an error object (`"…"`, `{"message": "…"}`)."""
    message = error.get("message") if isinstance(error, dict) else error
    return shortened(message if isinstance(message, str) else json.dumps(error))


def error_body(body: bytes) -> str | None:
    """The message in the body of a response whose status is an error."""
    text = body.decode(errors="replace")
    try:
        value = json.loads(text)
    except ValueError:
        return shortened(text.strip()) or None
    if isinstance(value, dict):
        found = [value[key] for key in ("error", "detail", "message") if key in value]
        value = found[0] if found else value
    return error_message(value) or None


def shortened(text: str) -> str:
    return text if len(text) <= ERROR_LIMIT else text[:ERROR_LIMIT] + "…"
