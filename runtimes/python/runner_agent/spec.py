"""What is asked for: the protocol's spec, read and checked before the first call.

A setting that were ignored would be reported as if it had been measured, so what is not understood
is refused.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from runner_agent import headers
from runner_agent.dose import LagDose
from runner_agent.fields import (
    Refused,
    count,
    known,
    optional_text,
    positive,
    switch,
    text_of,
    texts_of,
    whole,
)
from runner_agent.scan import KINDS, Scan
from runner_agent.target import Target
from runner_agent.wire import WIRES

PROTOCOL = 2
SAFE_NAME = re.compile(r"[A-Za-z0-9._-]+")
DEFAULT_READ_BUFFER = 64 * 1024  # what httpcore asks for
SPEC_KEYS = frozenset(
    ("protocol", "run", "artifacts", "agents", "timeout_ns", "read_buffer", "throttle")
    + ("connection", "lag_dose", "probes", "variant")
)
PROBE_KEYS = frozenset(("chunks", "loop_lag_ns", "idle_ns"))
AGENT_KEYS = frozenset(
    ("name", "api", "url", "route", "api_key_env", "headers", "model", "answers_as")
    + ("options", "extra", "dialect", "max_tokens", "accept_context_full", "calls", "workflow")
)
DIALECT_KEYS = frozenset(("max_tokens_as", "stream_options"))
MAX_TOKENS_KEYS = ("max_tokens", "max_completion_tokens")
ROUTE_KEYS = frozenset(("ca_file", "proxy"))
LAG_DOSE_KEYS = frozenset(("busy_ns", "every_ns"))
CALL_KEYS = frozenset(("prompt", "warmup", "stage"))
WORKFLOW_KEYS = frozenset(("scan",))
SCAN_KEYS = frozenset(("folder", "extensions", "max_files", "max_bytes"))


@dataclass(frozen=True)
class Call:
    prompt: str
    warmup: bool
    stage: str | None


@dataclass(frozen=True)
class Agent:
    name: str
    api: str
    target: Target
    model: str
    # Further names that a stream may give the model.
    answers_as: tuple[str, ...]
    options: dict
    extra: dict
    # What the server wants otherwise than its protocol says.
    max_tokens_as: str
    stream_options: bool
    max_tokens: int | None
    # An answer counts though its context was full.
    accept_context_full: bool
    calls: tuple[Call, ...]
    workflow: Scan | None
    key: str | None = field(repr=False)
    # Further ones, the secrets among them filled in.
    headers: dict[str, str] = field(repr=False)
    # What may stand in no file: the key, and what the environment gave to further headers.
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Variant:
    """How this runtime works; the defaults are what a plain asyncio and httpx program does."""

    event_loop: str = "asyncio"
    json: str = "stdlib"
    parse: str = "inline"
    batch: float | None = None  # seconds
    processes: str = "scenario"
    rechunk: int | None = None  # bytes


@dataclass(frozen=True)
class Spec:
    run: str
    artifacts: str
    agents: tuple[Agent, ...]
    timeout_ns: int
    read_buffer: int
    throttle: float | None
    # Connections are kept for the next call.
    keep: bool
    # How the loop is held up on purpose.
    lag_dose: LagDose | None
    chunks: bool
    loop_lag_ns: int | None
    idle_ns: int | None
    variant: Variant


def read(text: bytes, environment: dict[str, str]) -> Spec:
    """Reads a spec; keys of APIs come from the environment and stand in no file."""
    try:
        given = json.loads(text)
        # The version alone first: the rest of another version may look different.
        if given["protocol"] != PROTOCOL:
            raise Refused(
                f"the spec asks for protocol {given['protocol']}, "
                f"this runtime speaks protocol {PROTOCOL}"
            )
        known(given, SPEC_KEYS)
        probes = given.get("probes") or {}
        known(probes, PROBE_KEYS)
        spec = Spec(
            run=text_of(given, "run"),
            artifacts=text_of(given, "artifacts"),
            agents=tuple(agent(entry, environment) for entry in given["agents"]),
            timeout_ns=count(given, "timeout_ns"),
            read_buffer=whole(given, "read_buffer") or DEFAULT_READ_BUFFER,
            throttle=positive(given, "throttle", "chunks per second"),
            keep=keeps(given.get("connection", "new")),
            lag_dose=lag_dose(given.get("lag_dose")),
            chunks=switch(probes, "chunks"),
            loop_lag_ns=whole(probes, "loop_lag_ns"),
            idle_ns=whole(probes, "idle_ns"),
            variant=variant(given.get("variant") or {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Refused(f"the spec is no JSON of this protocol: {error!r}") from error
    if not os.path.isdir(spec.artifacts):
        raise Refused(f"the folder {spec.artifacts} does not exist")
    if not (spec.run.isascii() and spec.run.isprintable()):
        raise Refused("the run's name cannot be sent in the header x-request-id")
    names = [agent.name for agent in spec.agents]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f'two agents are named "{name}"')
    return spec


def keeps(connection: str) -> bool:
    if connection not in ("new", "keep"):
        raise Refused(f"connection is one of new, keep, not {connection!r}")
    return connection == "keep"


def lag_dose(given: dict | None) -> LagDose | None:
    if given is None:
        return None
    known(given, LAG_DOSE_KEYS)
    dose = LagDose(count(given, "busy_ns"), count(given, "every_ns"))
    if not 0 < dose.busy_ns < dose.every_ns:
        raise Refused("lag_dose must be busy for more than 0 ns and less than every_ns")
    return dose


def agent(given: dict, environment: dict[str, str]) -> Agent:
    known(given, AGENT_KEYS)
    name = given["name"]

    def wrong(reason: str) -> Refused:
        return Refused(f'agent "{name}": {reason}')

    if not SAFE_NAME.fullmatch(name):
        raise wrong("a name has only letters, digits, '.', '_' and '-'")
    if given["api"] not in WIRES:
        raise wrong(f"the api {given['api']} is not known")
    for call in given["calls"]:
        known(call, CALL_KEYS)
    calls = tuple(
        Call(text_of(call, "prompt"), switch(call, "warmup"), call.get("stage"))
        for call in given["calls"]
    )
    warmups = [call.warmup for call in calls]
    if warmups != sorted(warmups, reverse=True):
        raise wrong("warm-up calls come before all others")
    asked = workflow(given.get("workflow"), [call.stage for call in calls], wrong)
    route = given.get("route") or {}
    known(route, ROUTE_KEYS)
    ca_file, proxy = optional_text(route, "ca_file"), optional_text(route, "proxy")
    try:
        target = Target.of(text_of(given, "url"), ca_file, proxy)
    except Refused as error:
        raise wrong(str(error)) from error
    variable, key = given.get("api_key_env"), None
    if variable is not None:
        key = headers.key(given["api"], variable, environment, wrong)
    further, secret = headers.further(dict(given.get("headers") or {}), environment, wrong)
    dialect = given.get("dialect") or {}
    known(dialect, DIALECT_KEYS)
    max_tokens_as = dialect.get("max_tokens_as", MAX_TOKENS_KEYS[0])
    if max_tokens_as not in MAX_TOKENS_KEYS:
        raise wrong(f"max_tokens_as is one of {', '.join(MAX_TOKENS_KEYS)}, not {max_tokens_as!r}")
    return Agent(
        name=name,
        api=given["api"],
        target=target,
        model=text_of(given, "model"),
        answers_as=texts_of(given, "answers_as"),
        options=dict(given.get("options") or {}),
        extra=dict(given.get("extra") or {}),
        max_tokens_as=max_tokens_as,
        stream_options=switch(dialect, "stream_options", absent=True),
        max_tokens=None if given.get("max_tokens") is None else count(given, "max_tokens"),
        accept_context_full=switch(given, "accept_context_full"),
        calls=calls,
        workflow=asked,
        key=key,
        headers=further,
        secrets=secret if key is None else (key, *secret),
    )


def workflow(
    given: dict | None, stages: list[str | None], wrong: Callable[[str], Refused]
) -> Scan | None:
    """The files of a workflow. Without them a placeholder would be sent as it stands."""
    if given is None:
        if any(stages):
            raise wrong("a call has a stage without a workflow")
        return None
    if stages != ["analysis", "report"] * (len(stages) // 2):
        raise wrong("the calls of a workflow are analysis and report in turn")
    known(given, WORKFLOW_KEYS)
    asked = given["scan"]
    known(asked, SCAN_KEYS)
    unknown = [name for name in asked["extensions"] if name not in KINDS]
    if unknown:
        raise wrong(f'the workflow asks for files of the unknown kind "{unknown[0]}"')
    if not os.path.isdir(asked["folder"]):
        raise wrong(f"the workflow's folder {asked['folder']} does not exist")
    return Scan(
        folder=asked["folder"],
        extensions=tuple(asked["extensions"]),
        max_files=count(asked, "max_files"),
        max_bytes=count(asked, "max_bytes"),
    )


def variant(given: dict) -> Variant:
    choices = {
        "event_loop": ("asyncio", "uvloop"),
        "json": ("stdlib", "orjson"),
        "parse": ("inline", "thread"),
        "processes": ("scenario", "agent"),
    }
    for name, value in given.items():
        if name in choices:
            if value not in choices[name]:
                raise Refused(f"{name} is one of {', '.join(choices[name])}, not {value!r}")
        elif name == "rechunk":
            whole(given, name)
        elif value is None:
            raise Refused(f"{name} must have a value")
        elif name == "batch":
            positive(given, name, "seconds")
        else:
            raise Refused(f'this runtime has no setting "{name}"')
    return Variant(**given)
