"""What all wire protocols have in common: prompts, lines, JSON, chunks and the way a stream ends."""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from runner_agent.wire.refusal import web_page

# Longest line or event that is accepted, bytes.
LINE_LIMIT = 16 * 1024 * 1024
# Longest text of an error, and of a line that is shown in one, characters.
ERROR_LIMIT = 2048
SHOWN_LIMIT = 200

Load = Callable[[bytes], Any]


class Prompt(NamedTuple):
    """One prompt with everything that shapes its answer."""

    model: str
    text: str
    # By Ollama's names.
    options: dict
    # Keys of the body as they are; no key that a protocol has itself is overwritten by them.
    extra: dict
    # What the server wants otherwise: the key of the limit, and whether it is asked for its counts.
    max_tokens_as: str
    stream_options: bool
    max_tokens: int | None


class Chunk(NamedTuple):
    """One line or event with a payload."""

    bytes: int
    text: str


class Malformed(ValueError):
    """The stream breaks its own protocol."""


class Ending:
    """What the stream has told of its own end so far."""

    def __init__(self) -> None:
        self.complete = False
        self.error: str | None = None
        # In the server's words.
        self.finish_reason: str | None = None
        # The reason says that the answer was cut at the limit that was asked for.
        self.limited = False
        self.counts: dict[str, int] = {}

    def keep(self, counts: dict[str, int | None]) -> None:
        """Takes over what is known of these counts; the last value of each holds."""
        known = {name: value for name, value in counts.items() if value is not None}
        self.counts.update(known)


class Decoder(Protocol):
    """Reads an answer as it comes."""

    ending: Ending

    def push(self, data: bytes) -> None:
        """Adds bytes of the response's body."""

    def chunks(self) -> Iterator[Chunk]:
        """Every whole chunk; none after the stream has said its last word."""

    def last_chunk(self) -> Chunk | None:
        """After the end of the body: a last chunk whose line end is missing, if it is whole otherwise."""

    def complete_at_close(self) -> bool:
        """Whether an answer whose connection was closed now is whole."""


class Wire(NamedTuple):
    """A wire protocol as a client speaks it."""

    # Follows the base address.
    path: str
    # The protocol's own headers, with the API key if there is one.
    headers: Callable[[str | None], dict[str, str]]
    # The body of a streaming request.
    body: Callable[[Prompt], dict]
    decoder: Callable[[Load], Decoder]
    # A short answer, in the pieces in which a server would send it.
    sample: tuple[bytes, ...]


def listed(stop: Any) -> list:
    """One or several stop texts as the list that some protocols want."""
    return stop if isinstance(stop, list) else [stop]


def bearer(key: str | None) -> dict[str, str]:
    """The headers of a protocol that has none but the one with the key."""
    return {} if key is None else {"authorization": f"Bearer {key}"}


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
    shown = shortened(payload.decode(errors="replace"), SHOWN_LIMIT)
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


def object_of(value: object, payload: bytes) -> dict | None:
    """A field that holds an object or nothing."""
    if value is None or isinstance(value, dict):
        return value
    raise not_allowed("an object was expected", payload)


def count(value: object, payload: bytes) -> int | None:
    """A count or duration; servers write `1000`, some `1e3`. Negative or not finite is unknown."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise not_allowed("a number was expected", payload)
    return round(value) if math.isfinite(value) and value >= 0 else None


def milliseconds(value: object, payload: bytes) -> int | None:
    """Milliseconds with a fraction as whole nanoseconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value *= 1e6
    return count(value, payload)


def error_message(error: object) -> str:
    """The message inside an error object (`"…"`, `{"message": "…"}`)."""
    message = error.get("message") if isinstance(error, dict) else error
    return shortened(message if isinstance(message, str) else json.dumps(error))


def error_body(body: bytes) -> str | None:
    """The message in the body of a response whose status is an error; a web page by its title."""
    text = body.decode(errors="replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return web_page(text) or shortened(text.strip()) or None
    if isinstance(value, dict):
        found = [value[key] for key in ("error", "detail", "message") if key in value]
        value = found[0] if found else value
    return error_message(value) or None


def shortened(text: str, limit: int = ERROR_LIMIT) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
