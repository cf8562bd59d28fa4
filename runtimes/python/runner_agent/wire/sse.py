"""Server-sent events (WHATWG HTML, section 9.2), taken out of a byte stream however it was cut.

What an event means is the business of the protocol, which is a class above this one. Fields that
inference servers add to the format are not skipped: that could hide an error.
"""

from collections.abc import Iterator

from runner_agent.wire.body import BodyDecoder
from runner_agent.wire.decoding import BLANKS, LINE_LIMIT, Chunk, Lines, Load, Malformed
from runner_agent.wire.errors import error_in, error_line, error_words, told_by
from runner_agent.wire.payload import CutOff, is_json, not_allowed, parse

DONE = b"[DONE]"
# How lines may begin.
FIELDS = (b"data", b"event", b"id", b"retry", b"error")


class EventLines(Lines):
    """Lines that end with CR LF, LF or CR alone."""

    after_return = False

    def push(self, data: bytes) -> None:
        if self.after_return and data:
            self.after_return = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self.after_return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self.buffer += data


class EventDecoder(BodyDecoder):
    """Incremental decoder of one answer."""

    object_is_whole = True

    def __init__(self, load: Load) -> None:
        super().__init__(load, EventLines())
        self.data: list[bytes] = []  # `data:` lines of the event that is being read
        self.size = 0  # their length, with the line feeds that will join them
        self.is_error = False  # the event's name is `error`
        self.begun_events = False  # one was read

    def text(self, event: dict, data: bytes) -> str:
        """Text of an event; what it says of the answer's end goes to `ending`."""
        raise NotImplementedError

    def chunks(self) -> Iterator[Chunk]:
        """Every event with data; what follows the answer's end is of no interest."""
        for line in self.lines.whole():
            event = self.take(line)
            if event is not None:
                chunk = self.read(event)
                if chunk is not None:
                    yield chunk
            if self.ending.over:
                return

    def last_chunk(self) -> Chunk | None:
        """A last event without its blank line; one that is cut in the middle is no chunk."""
        if self.ending.over:
            return None
        if self.held is not None:
            return self.held_chunk()
        told = self.lines.rest()
        is_alone = not self.begun_events and not self.data
        try:
            if told:
                self.take(told)
            event = None if self.ending.over else self.take(b"")
            if event is None:
                return None
            told, is_alone = event, False
            return self.read(event)
        except CutOff:
            return None
        except Malformed:
            # What is JSON was not cut; nor are words that are all there is, and begin no field.
            told = told.strip(BLANKS)
            if is_json(told) or (is_alone and not any(name.startswith(told) for name in FIELDS)):
                raise
            return None

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
        elif field == b"event":
            self.is_error = value.strip(BLANKS) == b"error"
        elif field not in (b"", b"id", b"retry"):  # a line from a colon on is a comment
            self.stray(line)
        return None

    def stray(self, line: bytes) -> None:
        """A line that is no field of an event: an error, or a breach of the protocol."""
        error = error_line(line)
        if error is None:
            error = error_in(parse(self.load, line))
        if error is None:
            raise not_allowed("no field of an event", line)
        self.ending.fail(error)

    def dispatch(self) -> bytes | None:
        if not self.data and not self.is_error:
            return None
        event = b"\n".join(self.data)
        self.data.clear()
        self.size = 0
        if self.is_error:
            self.ending.fail(told_by(event))
            return None
        stripped = event.strip(BLANKS)
        if stripped == DONE:
            self.ending.end()
            return None
        return event if stripped else None

    def read(self, data: bytes) -> Chunk | None:
        """The chunk of an event, unless it is an error."""
        self.begun_events = True
        try:
            event = parse(self.load, data)
        except Malformed:
            error = error_words(data)
            if error is None:
                raise
            self.ending.fail(error)
            return None
        if (error := error_in(event)) is not None:
            self.ending.fail(error)
            return None
        text = self.text(event, data)
        if text.isascii():
            return Chunk(len(data), text, len(text))
        return Chunk.of(len(data), text)
