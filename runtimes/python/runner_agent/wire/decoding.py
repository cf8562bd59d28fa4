"""What all wire protocols have in common: prompts, lines, JSON, chunks and the way a stream ends."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

# Longest line or event that is accepted, bytes.
LINE_LIMIT = 16 * 1024 * 1024
# What is blank at the ends of lines and of an event's data.
BLANKS = b" \t\n\r\x0c"
# Longest text of an error, and of a line that is shown in one, bytes.
ERROR_LIMIT = 2048
SHOWN_LIMIT = 200

# Most names that are kept of a stream's model.
NAMES_LIMIT = 64

# Bytes to JSON, however a library does it.
Load = Callable[[bytes], Any]

SURROGATE = re.compile("[\ud800-\udfff]")


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
    # Bytes of the text in UTF-8.
    text_bytes: int

    @classmethod
    def of(cls, size: int, text: str) -> "Chunk":
        """A chunk of so many bytes with this text, in which halves of surrogate pairs may stand."""
        try:
            return cls(size, text, len(text.encode()))
        except UnicodeEncodeError:
            text = unicode(text)
            return cls(size, text, len(text.encode()))


class Malformed(ValueError):
    """The stream breaks its own protocol."""


class Ending:
    """What the stream has told of itself and of its own end so far."""

    def __init__(self) -> None:
        # Nothing more is read: its end mark came, or an error.
        self.over = False
        # The end mark came, or the whole answer in one piece.
        self.complete = False
        # One JSON answer came in place of a stream.
        self.streamed = True
        self.error: str | None = None
        # In the server's words.
        self.finish_reason: str | None = None
        # The last name that the stream gives the model, and each that it gives, in their order.
        self.model: str | None = None
        self.models: list[str] = []
        self.counts: dict[str, int] = {}

    def end(self, streamed: bool = True) -> None:
        self.over = self.complete = True
        self.streamed = streamed

    def fail(self, error: str) -> None:
        self.over = True
        self.error = error

    def tell_model(self, name: object) -> None:
        """Takes over a name; what is no name tells nothing."""
        if isinstance(name, str) and name:
            self.model = unicode(name)
            if self.model not in self.models and len(self.models) < NAMES_LIMIT:
                self.models.append(self.model)

    def keep(self, counts: dict[str, int | None]) -> None:
        """Takes over what is known of these counts; the last value of each holds."""
        known = {name: value for name, value in counts.items() if value is not None}
        self.counts.update(known)


class Decoder(Protocol):
    """Reads an answer as it comes."""

    ending: Ending
    # The header of the response that tells what its body is.
    content_type: str
    # The server's reasons for ending an answer with which all is well.
    reasons: frozenset[str]
    # Those of them that say that it was cut at a limit of tokens.
    limits: frozenset[str]
    # Reasons that say that the context was full.
    full: frozenset[str]
    # An answer whose reason is known may end without its end mark.
    ends_by_reason: bool

    def push(self, data: bytes) -> None:
        """Adds bytes of the response's body."""

    def chunks(self) -> Iterator[Chunk]:
        """Every whole chunk; none after the stream's end mark or an error."""

    def last_chunk(self) -> Chunk | None:
        """After the end of the body: a last chunk whose line end is missing, if it is whole otherwise."""


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
    """Splits bytes into lines that end with a line feed, however the transport cut them."""

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


def unicode(text: str) -> str:
    """The same text with U+FFFD for each half of a surrogate pair, which is no character."""
    return text if text.isascii() else SURROGATE.sub("\ufffd", text)


def shortened(text: str, limit: int = ERROR_LIMIT) -> str:
    """At most `limit` bytes of a text in UTF-8, whole characters."""
    data = text.encode(errors="replace")
    return text if len(data) <= limit else data[:limit].decode(errors="ignore") + "…"
