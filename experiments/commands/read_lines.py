"""Reads lines as an inference server streams them, and says how long that took.

A stand-in for any program of yours: it gets its settings as arguments, does its work, and leaves
files. `experiments/command.toml` measures it.
"""

import argparse
import csv
import json
import re
import time
from pathlib import Path

TOKEN = re.compile(r'"response":"((?:[^"\\]|\\.)*)"')


def with_json(line):
    return json.loads(line)["response"]


def with_regex(line):
    return TOKEN.search(line).group(1)


READERS = {"json": with_json, "regex": with_regex}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, required=True, help="folder for the results")
    arguments.add_argument("--reader", choices=sorted(READERS), required=True)
    arguments.add_argument("--lines", type=int, required=True)
    arguments.add_argument("--passes", type=int, default=20)
    wanted = arguments.parse_args()

    read = READERS[wanted.reader]
    line = '{"model":"m","created_at":"2025-01-01T00:00:00Z","response":" token","done":false}'
    lines = [line] * wanted.lines
    milliseconds = []
    for _ in range(wanted.passes):
        start = time.perf_counter_ns()
        for text in lines:
            read(text)
        milliseconds.append((time.perf_counter_ns() - start) / 1e6)

    with open(wanted.out / "passes.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["pass", "ms"])
        rows.writerows(enumerate(milliseconds, start=1))
    seconds = sum(milliseconds) / 1000
    summary = {"lines_per_s": wanted.lines * wanted.passes / seconds}
    (wanted.out / "summary.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
