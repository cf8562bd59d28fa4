"""An agent's workflow: the files before its analysis, the prompts of its calls, the time of each stage.

Files are read on the event loop, as an agent that does its own work would: while one agent scans and
ingests, the others wait, and the loop-lag probe sees it.
"""

import re
from time import monotonic_ns

from runner_agent.scan import Scan, scan
from runner_agent.summary import ingest

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{data\}|\{answer\}")


class Workflow:
    """One agent's workflow as it goes."""

    def __init__(self, agent: str, asked: Scan) -> None:
        self.agent = agent
        self.asked = asked
        self.data = ""
        # The protocol's records.
        self.stages: list[dict] = []

    def begin(self, template: str, stage: str, warmup: bool, answer: str) -> tuple[str, int]:
        """Does what comes before a call: its prompt, and when making it began."""
        if stage == "analysis":
            self.read(warmup)
        start_ns = monotonic_ns()
        return fill(template, self.data, answer), start_ns

    def read(self, warmup: bool) -> None:
        start_ns = monotonic_ns()
        found = scan(self.asked)
        self.note("scan", warmup, start_ns, monotonic_ns(), found.bytes, files=len(found.files))
        start_ns = monotonic_ns()
        self.data, files, size = ingest(found)
        self.note("ingest", warmup, start_ns, monotonic_ns(), size, files=files)

    def end(self, stage: str, record: dict, start_ns: int, prompt: str) -> None:
        """Notes the stage of a call that has ended."""
        size = len(prompt.encode())
        self.note(
            stage, record["warmup"], start_ns, record["end_ns"], size, call=record["call"]
        )

    def note(
        self, stage: str, warmup: bool, start_ns: int, end_ns: int, size: int, **which: int
    ) -> None:
        times = {"start_ns": start_ns, "end_ns": end_ns, "bytes": size}
        self.stages.append({"agent": self.agent, "stage": stage, "warmup": warmup, **times, **which})


def fill(template: str, data: str, answer: str) -> str:
    """The prompt. What is filled in is not looked at again."""
    values = {"{{": "{", "}}": "}", "{data}": data, "{answer}": answer}
    return PLACEHOLDER.sub(lambda found: values[found[0]], template)
