"""What is left in the run's folder, written after the measured window, the record last of all."""

import json
import os

from runner_agent.loop import Result
from runner_agent.secrets import Secrets
from runner_agent.spec import PROTOCOL, Spec

CHUNK_COLUMNS = "time_ns,read_ns,agent,call,index,bytes,gap_ms,parse_ms,text\n"
LOOP_LAG_COLUMNS = "time_ns,lag_ms\n"
# Where each agent has a loop of its own.
LOOPS_LAG_COLUMNS = "time_ns,lag_ms,loop\n"


class Folder:
    """The run's folder. What is written there repeats no key."""

    def __init__(self, spec: Spec) -> None:
        self.path = spec.artifacts
        self.secrets = Secrets(text for agent in spec.agents for text in agent.secrets)

    def write(self, name: str, text: str) -> None:
        """Writes a file of it, by its path below it; its folder is made where there is none."""
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(self.secrets.covered(text.encode()))


def write(spec: Spec, runtime: dict, clock: dict, result: Result) -> None:
    folder = Folder(spec)
    for call in result.calls:
        name = f"{call.record['agent']}-{call.record['call']}.txt"
        folder.write(os.path.join("responses", name), "".join(call.texts))
        # What a workflow made.
        if call.prompt is not None:
            folder.write(os.path.join("prompts", name), call.prompt)
    if spec.chunks:
        folder.write("chunk_metrics.csv", chunk_table(result))
    if spec.loop_lag_ns:
        folder.write("loop_lag.csv", loop_lag_table(spec, result))
    record = {
        "protocol": PROTOCOL,
        "runtime": runtime,
        "clock": clock,
        "calls": [call.record for call in result.calls],
        "probe_cost_ns": result.probe_cost_ns,
    }
    if result.stages:
        record["stages"] = sorted(result.stages, key=lambda stage: stage["start_ns"])
    if result.idle is not None:
        record["idle"] = {"start_ns": result.idle[0], "end_ns": result.idle[1]}
    folder.write("agent.json", json.dumps(record))


def loop_lag_table(spec: Spec, result: Result) -> str:
    """The rows of the loop-lag probe, in the order of time; an agent's name needs no quoting."""
    if spec.variant.processes != "agent":
        rows = (f"{time_ns},{lag_ns / 1e6:.6f}\n" for time_ns, lag_ns in result.loop_lag)
        return LOOP_LAG_COLUMNS + "".join(rows)
    woken = sorted(
        (time_ns, lag_ns, agent)
        for agent, samples in result.loops_lag.items()
        for time_ns, lag_ns in samples
    )
    rows = (f"{time_ns},{lag_ns / 1e6:.6f},{agent}\n" for time_ns, lag_ns, agent in woken)
    return LOOPS_LAG_COLUMNS + "".join(rows)


def chunk_table(result: Result) -> str:
    """The rows of the chunk probe; no field needs quoting."""
    rows = [CHUNK_COLUMNS]
    for call in result.calls:
        agent, number = call.record["agent"], call.record["call"]
        previous_ns = None
        for index, (time_ns, read_ns, size, parse_ns, text) in enumerate(call.rows):
            gap = "" if previous_ns is None else f"{(time_ns - previous_ns) / 1e6:.6f}"
            rows.append(
                f"{time_ns},{read_ns},{agent},{number},{index},{size},{gap},"
                f"{parse_ns / 1e6:.6f},{int(text)}\n"
            )
            previous_ns = time_ns
    return "".join(rows)
