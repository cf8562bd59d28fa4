"""From the spec on standard input to the files in the run's folder and an exit code.

Exit codes: 0 everything is written; 1 this process could not do its work; 2 the spec cannot be
carried out. There is nothing to hand over half done, so a signal just ends the process.
"""

import json
import os
import platform
import sys
from datetime import datetime, timezone
from time import monotonic_ns

import tokenizers

from runner_tokenize import VERSION, artifacts, parent, spec, work
from runner_tokenize.spec import PROTOCOL, Refused, Spec

FAILED = 1
REFUSED = 2


def main() -> None:
    parent.end_with_parent()
    try:
        asked = spec.read(sys.stdin.buffer.read())
        modes = work.cut(asked)
    except Refused as error:
        sys.exit(give_up(error, REFUSED))
    try:
        carry_out(asked, modes)
    except Refused as error:
        sys.exit(give_up(error, REFUSED))
    except Exception as error:
        sys.exit(give_up(error, FAILED))


def carry_out(asked: Spec, modes: list[work.Mode]) -> None:
    runtime = info()
    now_ns, now = monotonic_ns(), datetime.now(timezone.utc)
    utc = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    send("ready", now_ns, protocol=PROTOCOL, runtime=runtime)
    result = work.encode(asked, modes, send)
    artifacts.write(asked, runtime, {"monotonic_ns": now_ns, "utc": utc}, result)
    send("done", monotonic_ns())


def info() -> dict:
    """What encodes, with the versions of what it is built on."""
    details = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "tokenizers": tokenizers.__version__,
    }
    return {"name": "python", "version": VERSION, "details": details}


def send(event: str, t_ns: int, **fields: object) -> None:
    """Few events are sent, and none between the clock readings of a pass."""
    line = json.dumps({"event": event, "t_ns": t_ns, **fields}).encode() + b"\n"
    view = memoryview(line)
    while view:
        view = view[os.write(1, view) :]


def give_up(error: Exception, code: int) -> int:
    message = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
    print(f"error: {message}", file=sys.stderr)
    send("error", monotonic_ns(), message=message)
    return code
