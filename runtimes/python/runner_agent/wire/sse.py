"""Server-sent events (WHATWG HTML, section 9.2), taken out of a byte stream however it was cut.

What an event means is the business of the protocol, which is a class above this one. Fields that
inference servers add to the format are not skipped: that could hide an error.
"""

from collections.abc import Iterator

from runner_agent.wire.decoding import (
    LINE_LIMIT,
    Chunk,
    Ending,
    Lines,
    Load,
    Malformed,
    error_body,
    parse,
)


class EventDecoder:
    """Incremental decoder of one answer."""

    # A stream that is closed after a finish reason is whole, though its last event is missing.
    reason_is_enough = False

    def __init__(self, load: Load) -> None:
        self.load = load
        self.lines = Lines()
        self.data: list[bytes] = []  # `data:` lines of the event that is being read
        self.size = 0  # their length, with the line feeds that will join them
        self.ending = Ending()

    def is_end(self, data: bytes) -> bool:
        """Whether an event's data is the mark of the answer's end, and no chunk."""
        return False

    def text(self, event: dict, data: bytes) -> str:
        """Text of an event; what it says of the answer's end goes to `ending`."""
        raise NotImplementedError

    def stray(self, line: bytes) -> str:
        """The server's words for an error in a line that is no field of an event."""
        raise NotImplementedError

    def push(self, data: bytes) -> None:
        if not self.ending.complete:
            self.lines.push(data)

    def chunks(self) -> Iterator[Chunk]:
        """Every event with data; what follows the answer's end is of no interest."""
        for line in self.lines.whole():
            event = self.take(line)
            if event is not None:
                yield self.read(event)
            if self.ending.complete:
                return

    def last_chunk(self) -> Chunk | None:
        """A last event without its blank line; one that is cut in the middle is no chunk."""
        if self.ending.complete:
            return None
        try:
            line = self.lines.rest()
            if line:
                self.take(line)
            event = self.take(b"")
            return None if event is None else self.read(event)
        except Malformed:
            return None

    def complete_at_close(self) -> bool:
        told = self.reason_is_enough and self.ending.finish_reason is not None
        return self.ending.complete or told

    def take(self, line: bytes) -> bytes | None:
        """Takes one line; returns an event's data when the line completed one."""
        if not line:
            return self.dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self.size += len(value) + bool(self.data)
            self.data.append(value)
            if self.size > LINE_LIMIT:
                raise Malformed(f"a line of the stream is longer than {LINE_LIMIT} bytes")
        elif field == b"error":  # llama.cpp writes its errors so
            self.ending.error = error_body(value) or ""
        elif field not in (b"", b"event", b"id", b"retry"):  # a line from a colon on is a comment
            self.ending.error = self.stray(line)
        return None

    def dispatch(self) -> bytes | None:
        if not self.data:
            return None
        event = b"\n".join(self.data)
        self.data.clear()
        self.size = 0
        stripped = event.strip()
        if self.is_end(stripped):
            self.ending.complete = True
            return None
        return event if stripped else None

    def read(self, data: bytes) -> Chunk:
        return Chunk(len(data), self.text(parse(self.load, data), data))
