"""Events on their way to standard output, by a thread of their own.

A reader that is slow or asleep must not hold up the event loop: sending only appends to a list. The
thread wakes at intervals and writes what came together.
"""

import json
import os
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic_ns

# Longest time that an event waits for its neighbours, seconds.
INTERVAL = 0.05
# Events that may wait before progress is dropped.
ROOM = 4096


class Events:
    """The sending side; `write` gets whole lines."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self.waiting: deque[dict | bytes] = deque()  # both ends are safe between threads
        self.wake = threading.Event()
        self.closed = False
        self.failure: OSError | None = None
        self.thread = threading.Thread(target=self.write_all, name="events")
        self.thread.start()

    def send(self, event: str, t_ns: int | None = None, **fields: object) -> None:
        """Appends an event; never waits for the reader."""
        if event == "progress" and len(self.waiting) >= ROOM:
            return
        t_ns = monotonic_ns() if t_ns is None else t_ns
        self.waiting.append({"event": event, "t_ns": t_ns, **fields})
        if event in ("ready", "done", "error"):
            self.wake.set()

    def forward(self, lines: bytes) -> None:
        """Appends events that another process has put into lines."""
        self.waiting.append(lines)

    def close(self) -> None:
        """Waits until everything is written; raises what kept it from being written."""
        self.closed = True
        self.wake.set()
        self.thread.join()
        if self.failure is not None:
            raise self.failure

    def write_all(self) -> None:
        while True:
            self.wake.wait(INTERVAL)
            self.wake.clear()
            closed = self.closed  # before taking: what is sent until then is taken
            lines = bytearray()
            while self.waiting:
                event = self.waiting.popleft()
                lines += event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
            try:
                if lines and self.failure is None:
                    self.write(bytes(lines))
            except OSError as error:
                self.failure = error
            if closed:
                return


def to_output(data: bytes) -> None:
    """Writes all of it to standard output."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
