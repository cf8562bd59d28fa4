"""What is kept of one call until the window has ended, and the taking of its chunks."""

from runner_agent.events import Events
from runner_agent.wire.decoding import Chunk

# Least time between two progress events of a call, nanoseconds.
PROGRESS_NS = 100_000_000


class CallLog:
    """The protocol's record of a call, its text and, for the chunk probe, its chunks."""

    def __init__(self, agent: str, call: int, warmup: bool) -> None:
        self.record: dict = {
            "agent": agent,
            "call": call,
            "warmup": warmup,
            "start_ns": 0,
            "headers_ns": None,
            "text_offsets_ns": [],
            "text_bytes": [],
            "end_ns": 0,
            "http_status": None,
            "outcome": "cancelled",
            "error": None,
            "chunks": 0,
            "bytes": 0,
            "reads": None,
            "largest_read": None,
            "finish_reason": None,
            "server": {},
        }
        # Of a workflow's call, as it was sent.
        self.prompt: str | None = None
        self.texts: list[str] = []
        self.text_length = 0
        # time_ns, read_ns, bytes, parse_ns, text
        self.rows: list[tuple[int, int, int, int, bool]] = []


class Taker:
    """Notes each chunk when it may be taken."""

    def __init__(self, log: CallLog, events: Events, probe: bool) -> None:
        self.log = log
        self.events = events
        self.probe = probe
        self.start_ns = self.last_taken_ns = self.last_progress_ns = log.record["start_ns"]
        self.offsets = log.record["text_offsets_ns"]
        self.sizes = log.record["text_bytes"]

    def take(self, chunk: Chunk, time_ns: int, read_ns: int, parse_ns: int) -> None:
        log, record = self.log, self.log.record
        time_ns = max(time_ns, self.last_taken_ns)
        self.last_taken_ns = time_ns
        record["chunks"] += 1
        if chunk.text:
            if not self.offsets:
                self.tell("first_token", time_ns)
            self.offsets.append(time_ns - self.start_ns)
            self.sizes.append(chunk.text_bytes)
            log.texts.append(chunk.text)
            log.text_length += len(chunk.text)
        if self.probe:
            log.rows.append((time_ns, read_ns, chunk.bytes, parse_ns, bool(chunk.text)))
        if time_ns - self.last_progress_ns >= PROGRESS_NS:
            self.last_progress_ns = time_ns
            self.tell("progress", time_ns, chunks=record["chunks"])

    def tell(self, event: str, t_ns: int, **fields: object) -> None:
        agent, call = self.log.record["agent"], self.log.record["call"]
        self.events.send(event, t_ns, agent=agent, call=call, **fields)
