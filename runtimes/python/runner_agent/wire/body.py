"""How the body of an answer begins, and what it is by that: a stream, a page for people, or one JSON
answer in place of a stream. The protocols' decoders are classes above this one.
"""

from runner_agent.wire.decoding import (
    BLANKS,
    LINE_LIMIT,
    Chunk,
    Ending,
    Lines,
    Load,
    Malformed,
)
from runner_agent.wire.errors import error_in
from runner_agent.wire.payload import CutOff, parse
from runner_agent.wire.refusal import element

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Longest beginning of a page that is searched for its title, bytes.
PAGE_LIMIT = 64 * 1024


class BodyDecoder:
    """What both decoders have in common."""

    # A body that begins with `{` is one JSON answer.
    object_is_whole = False

    def __init__(self, load: Load, lines: Lines) -> None:
        self.load = load
        self.lines = lines
        self.ending = Ending()
        # Of the response's headers.
        self.content_type = ""
        self.begun = False
        self.first: bytes | None = b""  # a part of a byte-order mark; None when that is passed
        # A body that is no stream, as far as it has come.
        self.held: bytearray | None = None
        self.is_page = False
        self.searched_line = False

    def push(self, data: bytes) -> None:
        if not self.begun:
            data = self.begin(data)
        if self.held is None:
            self.lines.push(data)
        else:
            self.hold(data)

    def begin(self, data: bytes) -> bytes:
        """Passes over a byte-order mark and blanks, and finds by the first character what the body is."""
        if self.first is not None:
            data = self.first + data
            if BYTE_ORDER_MARK.startswith(data):  # it may be cut anywhere
                self.first = data
                return b""
            self.first = None
            data = data.removeprefix(BYTE_ORDER_MARK)
        data = data.lstrip(BLANKS)
        if data:
            self.begun = True
            self.is_page = data.startswith(b"<")
            if self.is_page or (self.object_is_whole and data.startswith(b"{")):
                self.held = bytearray()
        return data

    def hold(self, data: bytes) -> None:
        """Adds to a body that is no stream, which can say what it is before its end."""
        self.held += data
        if self.is_page:
            title = element(self.held[:PAGE_LIMIT].decode(errors="replace"), "title")
            if title or len(self.held) > PAGE_LIMIT:
                raise page(title)
            return
        if len(self.held) > LINE_LIMIT:
            raise Malformed(f"the answer is longer than {LINE_LIMIT} bytes")
        if not self.searched_line and b"\n" in data:
            self.searched_line = True
            self.search_line(bytes(self.held).partition(b"\n")[0])

    def search_line(self, line: bytes) -> None:
        """Looks for an error in a first line, after which other lines may come."""
        try:
            error = error_in(parse(self.load, line))
        except Malformed:
            return
        if error is not None:
            self.ending.fail(error)

    def held_chunk(self) -> Chunk | None:
        """The one chunk of a body that was held, after its end; None of one that was cut."""
        if self.is_page:
            raise page("")
        data = bytes(self.held).strip(BLANKS)
        try:
            value = parse(self.load, data)
        except CutOff:
            return None
        error = error_in(value)
        if error is not None:
            self.ending.fail(error)
            return None
        text = self.whole_text(value, data)
        self.ending.end(streamed=False)
        return Chunk.of(len(data), text)

    def whole_text(self, value: dict, data: bytes) -> str:
        """Text of an answer in one piece; what it says of its end goes to `ending`."""
        raise NotImplementedError


def page(title: str) -> Malformed:
    words = "an HTML page came in place of an answer"
    return Malformed(f'{words}, titled "{title}"' if title else words)
