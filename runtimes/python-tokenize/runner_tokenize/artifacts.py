"""What is left in the run's folder, written after the last pass, the record last of all."""

import json
import os

from runner_tokenize.spec import PROTOCOL, Spec
from runner_tokenize.work import Result

COLUMNS = "mode,pass,part,bytes,tokens,encode_ns\n"


def write(spec: Spec, runtime: dict, clock: dict, result: Result) -> None:
    write_file(os.path.join(spec.artifacts, "tokenize_parts.csv"), table(result))
    start_ns, end_ns = result.load
    record = {
        "protocol": PROTOCOL,
        "runtime": runtime,
        "clock": clock,
        "calls": [],
        "tokenize": {
            "load": {"start_ns": start_ns, "end_ns": end_ns},
            "vocabulary": result.vocabulary,
            "passes": result.passes,
        },
    }
    write_file(os.path.join(spec.artifacts, "agent.json"), json.dumps(record))


def table(result: Result) -> str:
    """One row per part of every pass; no field needs quoting."""
    rows = [COLUMNS]
    for mode, number, tokens, times in result.rows:
        for part, size in enumerate(mode.sizes):
            row = f"{mode.name},{number},{part},{size},{tokens[part]},{times[part]}\n"
            rows.append(row)
    return "".join(rows)


def write_file(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
