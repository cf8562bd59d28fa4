"""From the spec on standard input to the files in the run's folder and an exit code.

Exit codes: 0 everything is written, also when calls failed; 1 this process could not do its work;
2 the spec cannot be carried out; 143 the process was asked to end, and what there is is written.
"""

import os
import platform
import sys
from datetime import datetime, timezone
from time import monotonic_ns
from typing import TYPE_CHECKING

import h11
import httpcore
import httpx

from runner_agent import VERSION, artifacts, descriptors, loop, parent, spec
from runner_agent.events import Events, to_output
from runner_agent.fields import Refused
from runner_agent.spec import PROTOCOL, Spec
from runner_agent.wire.decoding import shortened

if TYPE_CHECKING:
    from runner_agent.processes import Workers

# What is said of why nothing was done: more than a line of events may have is not heard.
MESSAGE_LIMIT = 4096
FAILED = 1
REFUSED = 2
TERMINATED = 143


def main() -> None:
    parent.end_with_parent()
    try:
        asked = spec.read(sys.stdin.buffer.read(), dict(os.environ))
        # Both before any thread is started: later the one waits, and the other is unsafe.
        descriptors.make_room(len(asked.agents))
        workers = fork(asked) if asked.variant.processes == "agent" else None
    except Exception as error:
        code = REFUSED if isinstance(error, Refused) else FAILED
        sys.exit(give_up(Events(to_output), error, code))
    events = Events(to_output)
    try:
        code = work(asked, workers, events)
    except Exception as error:
        sys.exit(give_up(events, error, FAILED))
    finally:
        if workers is not None:
            workers.end()
    events.close()
    sys.exit(code)


def give_up(events: Events, error: Exception, code: int) -> int:
    message = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
    message = shortened(message, MESSAGE_LIMIT)
    print(f"error: {message}", file=sys.stderr)
    events.send("error", message=message)
    events.close()
    return code


def fork(asked: Spec) -> "Workers":
    from runner_agent.processes import Workers  # other variants do not pay for its imports

    return Workers(asked)


def work(asked: Spec, workers: "Workers | None", events: Events) -> int:
    runtime = info(asked)
    clock = {}

    def say_ready() -> None:
        now_ns, now = monotonic_ns(), datetime.now(timezone.utc)
        utc = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        clock.update(monotonic_ns=now_ns, utc=utc)
        events.send("ready", now_ns, protocol=PROTOCOL, runtime=runtime)

    if workers is not None:
        result = workers.follow(events, say_ready)
    else:
        result = loop.run(asked, events, lambda: loop.Alone(len(asked.agents), say_ready))
    result.calls.sort(key=lambda call: call.record["start_ns"])
    artifacts.write(asked, runtime, clock, result)
    events.send("done")
    return TERMINATED if result.cancelled else 0


def info(asked: Spec) -> dict:
    """What makes the calls, with the versions of what it is built on."""
    details = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "httpx": httpx.__version__,
        "httpcore": httpcore.__version__,
        "h11": h11.__version__,
        "event_loop": asked.variant.event_loop,
        "json": asked.variant.json,
    }
    if asked.variant.event_loop == "uvloop":
        import uvloop

        details["event_loop"] = f"uvloop {uvloop.__version__}"
    if asked.variant.json == "orjson":
        import orjson

        details["json"] = f"orjson {orjson.__version__}"
    return {"name": "python", "version": VERSION, "details": details}
