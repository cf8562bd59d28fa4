//! The single list of metrics: name, unit, formula, meaning. Tables, exports and documentation are
//! made from it; a test holds it against what is computed.

use std::fmt::Write;

use super::{SmallestEffect, smallest_effect};

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricInfo<'a> {
    pub name: &'a str,
    pub scope: Scope,
    pub clock: Clock,
    /// Empty for a pure number.
    pub unit: &'a str,
    pub formula: &'a str,
    /// Which direction is an improvement, where one is.
    pub better: Option<Better>,
    pub meaning: &'a str,
    /// What a manifest says; see [`super::smallest_effect`] for that of any metric.
    pub smallest_effect: Option<SmallestEffect>,
}

/// What a metric belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A call has it; a run has it under the same name, over its measured calls that count.
    CallAndRun,
    Run,
    /// A tokenizer run has it, beside `startup_ms`, `peak_rss_mb` and `cpu_s`.
    Tokenizer,
    /// A run joined with its solo controls has it; it is computed when a table is made, not stored.
    AgainstSolo,
    /// A command's run has it.
    Command,
    /// A run that was read from earlier results has it, as its files do.
    Imported,
    /// As [`Scope::AgainstSolo`]; each measured call has it too.
    CallAndRunAgainstSolo,
    /// A run has it where the manifest declares a price; computed when a table is made, not stored.
    Priced,
}

impl Scope {
    /// Whether a call has the metric.
    #[must_use]
    pub fn of_calls(self) -> bool {
        matches!(self, Scope::CallAndRun | Scope::CallAndRunAgainstSolo)
    }
}

/// Who measured it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The agent's timestamps.
    Client,
    /// The server's own durations or counts.
    Server,
    /// The agent's timestamps with the server's counts, durations or log.
    Both,
    /// The executor, from outside the measured process.
    Executor,
    /// A packet capture.
    Wire,
    /// The agent's timestamps with a packet capture.
    ClientAndWire,
    /// The program that was measured says so itself.
    Program,
    /// A file of earlier results, whatever its program's clock was.
    File,
}

impl Clock {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Clock::Client => "client",
            Clock::Server => "server",
            Clock::Both => "client + server",
            Clock::Executor => "executor",
            Clock::Wire => "wire",
            Clock::ClientAndWire => "client + wire",
            Clock::Program => "the command",
            Clock::File => "the file",
        }
    }
}

/// The direction of an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
}

impl Better {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Better::Higher => "higher",
            Better::Lower => "lower",
        }
    }
}

/// All metrics, those of calls first.
#[must_use]
pub fn catalogue() -> &'static [MetricInfo<'static>] {
    &CATALOGUE
}

/// The metric of that name.
#[must_use]
pub fn info(name: &str) -> Option<&'static MetricInfo<'static>> {
    CATALOGUE.iter().find(|info| info.name == name)
}

/// The catalogue as a page.
#[must_use]
pub fn catalogue_markdown() -> String {
    let mut page = String::from(PREFACE);
    for (title, scopes) in [
        ("Calls, and runs over their calls", &[Scope::CallAndRun][..]),
        ("Runs", &[Scope::Run]),
        ("Runs of commands", &[Scope::Command]),
        ("Tokenizer runs", &[Scope::Tokenizer]),
        ("Runs against their solo controls", &[Scope::CallAndRunAgainstSolo, Scope::AgainstSolo]),
        ("Runs at a declared price", &[Scope::Priced]),
    ] {
        let _ = write!(
            page,
            "\n## {title}\n\n| metric | unit | measured by | better | matters from | formula | meaning |\n|---|---|---|---|---|---|---|\n"
        );
        for info in CATALOGUE.iter().filter(|info| scopes.contains(&info.scope)) {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} | {} | {} | {} |",
                info.name,
                info.unit,
                info.clock.name(),
                info.better.map_or("", Better::name),
                smallest_effect(info).map_or_else(String::new, |effect| effect.text(info.unit)),
                info.formula.replace('|', "\\|"),
                info.meaning,
            );
        }
    }
    page
}

const PREFACE: &str = "\
# Metrics

Computed by one implementation from the raw records, for every runtime. What is unknown is null or \
empty, never 0.

A call counts when its outcome is `ok` or `length` and it is no warm-up call. A run has the metrics of \
its calls under the same name: the mean over the calls that count and for which it is known, so that \
the run is the unit of replication. Exceptions: counts (`tokens`, `chunks`, `prompt_tokens`, `cached_tokens`) are added \
up and unknown as soon as one call's is; percentiles and maxima are taken over all gaps of the run.

Client times are those of the agent's monotonic clock, taken right after a read returned (after the \
wait of a throttle, where there is one). `first` and `last` are the times at which the first and the \
last chunk with text were taken, `start` is when the call's turn came (right before connecting), \
`connected` when the connection was open, `sent` right before the write that handed the last byte of the \
request to the system, `end` after the last byte. \
Percentiles interpolate linearly (type 7). Agents are told apart in the order of their names, so \
`collector` is the first and `insight` the second.

Loop lag is how much later than asked the probe's task woke on the agents' own loop. A run's figures \
are over the samples of its measured window (first start → last end of its measured calls): those that \
woke in it or were due in it. The figures of the idle control are over those that woke in its window, and \
`…_above_idle` is loaded − idle, unknown without the control. A maximum grows with the number of samples, \
so compare windows of unlike length by their percentiles. A loop that is held up wakes the probe less \
often: percentiles of samples then tell too little, and what is taken over time tells it: the share of time \
in stalls, `loop_blocked_percent`, and the wait of an arrival at a random moment, which meets a long hold \
more probably than a short one (`loop_wait_…`: Σ L² ÷ 2 over the time, by the mean residual life of renewal \
theory: L. Kleinrock, Queueing Systems, volume 1, 1975, section 5.2). The probe's own sleep enters thus: the loop's holding shows as lag \
only from the moment at which the sleep was over. Of each hold up to one sleep (1 ms unless set), half of \
it on average, is not seen, and of a hold shorter than the sleep often nothing. Hold and wait are lower \
bounds by as much, above a floor that the idle control tells: the lateness of the timer itself.

A tokenizer run encodes a text in passes: all of it at once, up to 10 000 of its lines, and up to \
10 000 pieces of 1 to 200 characters, lines and pieces evenly spaced through the text. The first pass \
fills caches and does not count. A time is that of the call that encodes one part, read before and \
after it; loading is apart. Special tokens are not added. Such a run has `startup_ms`, `peak_rss_mb`, \
`cpu_s` and `others_cpu_percent`, too; with the probes of GPU or host also theirs, for which its measured passes are what \
measured calls are elsewhere, and `tokens` those of these passes.

A run of a command has `process_wall_ms`, `cpu_s` and `peak_rss_mb` of its process (the CPU time with \
the children that it waited for), `others_cpu_percent`, and the metrics that its manifest picks from its files, under the \
names given there.

Metrics against solo join a run with the runs of each agent alone: those of the same repeat, or where \
that repeat is not stored the mean over the agent's solo runs (`solo_same_repeat` says which). Solo runs \
that were measured under other circumstances are not used. They are computed when a table is made.

Active inference is the union of the measured calls, each without the loading of the model that the \
server tells of, which comes first; warm-up, pauses between calls and the time around them are not in it. \
Energy in it is what the driver's counter gained, with straight lines between samples; where a GPU has no \
counter, the integral of its power by trapezoids. It is unknown where the samples do not enclose a call, or \
leave out more than ten intervals (at least a second) of it. Power, energy and memory are summed over the \
watched GPUs; shares and peaks of rates are of the GPU that has most. Metrics of `host`, `agent`, `server` \
and `runner` are over the measured window; 100 % of `agent`, `server` and `runner` is one core, 100 % of \
`host` all of them. MB are 10^6 bytes.

\"Matters from\" is the smallest effect of interest: a difference whose 95 % interval lies inside it is judged \
\"no difference that matters\", whatever its p. It is 1 % of what a time, rate, energy or cost is compared \
with, and 1 percentage point (pp) of a share. Counts, memory, temperatures, differences between two figures and \
pure numbers have none, for no size of theirs is small everywhere. A metric that a manifest declares takes it \
by its unit, or as its `smallest_effect` says.

A price is declared under `[price]` as `usd_per_hour` (of the machine while it works), `usd_per_kwh` (of \
the electricity that the watched GPUs take), or both.
";

use Better::{Higher, Lower};
use Clock::{Both, Client, ClientAndWire, Executor, Server, Wire};
use Scope::{AgainstSolo, CallAndRun, CallAndRunAgainstSolo, Command, Priced, Run, Tokenizer};

const fn metric(
    name: &'static str,
    scope: Scope,
    clock: Clock,
    unit: &'static str,
    better: Option<Better>,
    formula: &'static str,
    meaning: &'static str,
) -> MetricInfo<'static> {
    MetricInfo { name, scope, clock, unit, formula, better, meaning, smallest_effect: None }
}

#[rustfmt::skip]
static CATALOGUE: [MetricInfo<'static>; 153] = [
    metric("ttft_ms", CallAndRun, Client, "ms", Some(Lower),
        "first − sent", "time to the first chunk with text from the moment at which the request was handed to the system; in records of protocol 1, which do not tell it, first − start"),
    metric("connect_ms", CallAndRun, Client, "ms", Some(Lower),
        "connected − start", "opening the connection, TLS included; unknown where it was kept from a former call"),
    metric("send_delay_ms", CallAndRun, Client, "ms", Some(Lower),
        "sent − start", "everything between a call's turn and its request on the way: connecting, and the client's own work"),
    metric("itl_ms", CallAndRun, Client, "ms", Some(Lower),
        "mean of the gaps between consecutive chunks with text", "inter-token latency as the client sees it; a chunk may hold several tokens"),
    metric("itl_p50_ms", CallAndRun, Client, "ms", Some(Lower),
        "50th percentile of the gaps", "typical gap"),
    metric("itl_p95_ms", CallAndRun, Client, "ms", Some(Lower),
        "95th percentile of the gaps", "long gaps"),
    metric("itl_p99_ms", CallAndRun, Client, "ms", Some(Lower),
        "99th percentile of the gaps", "very long gaps"),
    metric("itl_max_ms", CallAndRun, Client, "ms", Some(Lower),
        "largest gap", "longest wait between two chunks with text"),
    metric("tpot_ms", CallAndRun, Both, "ms", Some(Lower),
        "(last moment − first) ÷ tokens with text after the first moment at which text came", "time per output token after the first; unknown where client_tokens_per_s is"),
    metric("e2e_ms", CallAndRun, Client, "ms", Some(Lower),
        "end − start", "duration of the call"),
    metric("tokens", CallAndRun, Server, "tokens", None,
        "the server's count of generated tokens", "length of the answer; unknown when the server does not count"),
    metric("chunks", CallAndRun, Client, "chunks", None,
        "number of chunks with text", "pieces in which the answer came; not tokens"),
    metric("made_tokens", CallAndRun, Server, "tokens", None,
        "tokens − those that the engine counts and never makes", "tokens that the server worked on, one at the end without text included"),
    metric("tokens_per_chunk", CallAndRun, Both, "tokens", None,
        "tokens ÷ chunks", "1 where each chunk is a token; a throttle counts chunks"),
    metric("prompt_tokens", CallAndRun, Server, "tokens", None,
        "the server's count of prompt tokens", "length of the prompt, cached tokens included where the server counts them"),
    metric("cached_tokens", CallAndRun, Server, "tokens", Some(Lower),
        "the server's count of prompt tokens taken from its cache", "part of the prompt that was not processed; unknown where the server does not tell, as Ollama does not"),
    metric("client_tokens_per_s", CallAndRun, Both, "tok/s", Some(Higher),
        "tokens with text after the first moment at which text came ÷ (last moment − first); by the engine's way of counting, apportioned by text where chunks hold several", "rate at which the client took the answer: the server's count over the client's clock; unknown below three moments at which text came, and where something held it back"),
    metric("decode_tokens_per_s", CallAndRun, Server, "tok/s", Some(Higher),
        "tokens that the decode duration covers by the engine's way of counting ÷ decode duration", "rate of generation by the server's own clock; unknown where the way of counting is"),
    metric("eval_rate_tokens_per_s", CallAndRun, Server, "tok/s", Some(Higher),
        "tokens ÷ decode duration", "the rate as ollama run --verbose prints it, for comparison with earlier reports; too high for short answers, since the duration does not cover all that is counted"),
    metric("prefill_tokens_per_s", CallAndRun, Server, "tok/s", Some(Higher),
        "(prompt tokens − cached tokens) ÷ prefill duration", "rate of reading the prompt by the server's own clock; unknown where cached tokens are counted and not told, except in the first call of a cold run"),
    metric("decode_ms", CallAndRun, Server, "ms", Some(Lower),
        "the server's decode duration", "generating the answer"),
    metric("prefill_ms", CallAndRun, Server, "ms", Some(Lower),
        "the server's prefill duration", "reading the prompt"),
    metric("server_total_ms", CallAndRun, Server, "ms", Some(Lower),
        "the server's total duration", "all of the call by the server's own clock"),
    metric("load_ms", CallAndRun, Server, "ms", Some(Lower),
        "the server's load duration", "loading the model"),
    metric("queue_ms", CallAndRun, Server, "ms", Some(Lower),
        "total − load − prefill − decode", "what the server's total leaves after its stages: waiting and the rest; unknown where the stages are longer"),
    metric("client_residue_ms", CallAndRun, Both, "ms", Some(Lower),
        "e2e_ms − the server's total", "connection, transport and client; with a throttle the waiting too"),
    metric("read_delay_p50_ms", CallAndRun, Client, "ms", Some(Lower),
        "50th percentile of (read − the kernel's receipt of the newest segment in it)", "how long bytes lay in the kernel before the client read them, at least; a client that is throttled leaves them there; unknown where the runtime or the system does not tell"),
    metric("read_delay_p99_ms", CallAndRun, Client, "ms", Some(Lower),
        "99th percentile of the same", "delay that one read in a hundred exceeds"),
    metric("read_delay_max_ms", CallAndRun, Client, "ms", Some(Lower),
        "largest of the same", "longest time for which the client left bytes lying"),
    metric("wire_ttft_ms", CallAndRun, Wire, "ms", Some(Lower),
        "arrival of the first chunk with text − the request's last byte, both on the wire", "time to the first chunk without the client: the server's and the network's; unknown without the wire probe and of encrypted calls"),
    metric("client_send_delay_ms", CallAndRun, ClientAndWire, "ms", Some(Lower),
        "the request's last byte on the wire − start", "what the client needed to connect and to send, by a packet capture"),
    metric("client_delay_p50_ms", CallAndRun, ClientAndWire, "ms", Some(Lower),
        "50th percentile of (a chunk's taking − its arrival on the wire)", "how long text lay in the client before it was taken; the wait of a throttle or of a batch is in it"),
    metric("client_delay_p99_ms", CallAndRun, ClientAndWire, "ms", Some(Lower),
        "99th percentile of the same", "delay that one chunk in a hundred exceeds"),
    metric("client_delay_max_ms", CallAndRun, ClientAndWire, "ms", Some(Lower),
        "largest of the same", "longest time for which text lay in the client"),
    metric("wire_ttft_error_ms", CallAndRun, ClientAndWire, "ms", Some(Lower),
        "|ttft_ms − wire_ttft_ms|", "how much of the time to the first chunk was the client's own"),
    metric("wire_gap_error_mean_ms", CallAndRun, ClientAndWire, "ms", Some(Lower),
        "|mean of (client's gap − gap on the wire)|", "what the client's own part does to a mean of gaps; unknown where a throttle, a batch or rechunk holds chunks back"),
    metric("wire_gap_error_p50_ms", CallAndRun, ClientAndWire, "ms", Some(Lower),
        "50th percentile of |client's gap − gap on the wire|", "how much of a gap was typically the client's own; unknown as above"),
    metric("wire_gap_error_p99_ms", CallAndRun, ClientAndWire, "ms", Some(Lower),
        "99th percentile of the same", "client's own part of a gap that one in a hundred exceeds"),
    metric("wire_gap_error_max_ms", CallAndRun, ClientAndWire, "ms", Some(Lower),
        "largest of the same", "client's own part of the gap that it changed most"),
    metric("ttft_error_ms", CallAndRun, Both, "ms", Some(Lower),
        "|ttft_ms − (the paced endpoint's send of its first chunk with text − when the request had come to it)|", "measurement error of the time to the first chunk, the way of the request included"),
    metric("gap_error_p50_ms", CallAndRun, Both, "ms", Some(Lower),
        "50th percentile of |client's gap − paced endpoint's gap|", "typical measurement error of a gap; unknown when chunks cannot be paired or a throttle holds them back"),
    metric("gap_error_p99_ms", CallAndRun, Both, "ms", Some(Lower),
        "99th percentile of |client's gap − paced endpoint's gap|", "measurement error that one gap in a hundred exceeds"),
    metric("gap_error_max_ms", CallAndRun, Both, "ms", Some(Lower),
        "largest |client's gap − paced endpoint's gap|", "largest measurement error of a gap"),
    metric("cold_calls", Run, Server, "calls", None,
        "number of measured calls with load_ms ≥ 1000", "calls for which the server had to load the model; unknown where it does not tell"),
    metric("cold_ttft_ms", Run, Client, "ms", Some(Lower),
        "mean ttft_ms of the cold calls that count: each agent's first in a run with `cold = true`, and those with load_ms ≥ 1000", "time to the first chunk with text when the server had to load the model"),
    metric("cold_load_ms", Run, Server, "ms", Some(Lower),
        "mean load_ms of the same calls", "loading the model"),
    metric("warm_ttft_ms", Run, Client, "ms", Some(Lower),
        "mean ttft_ms of the calls that count and have load_ms < 1000 or, where the server does not tell it, follow another call of the same agent in the run, warm-up included", "time to the first chunk with text when the model was loaded"),
    metric("wall_ms", Run, Client, "ms", Some(Lower),
        "first start → last end of the calls that count", "duration of the measured work; in a workflow it begins with the first scan"),
    metric("agents", Run, Client, "", None,
        "number of agents with measured calls", "concurrent streams"),
    metric("agent_ms", Run, Client, "ms", Some(Lower),
        "mean of the agents' durations; an agent's is its first start (in a workflow that of its scan) → last end", "how long an agent worked"),
    metric("sequential_ms", Run, Client, "ms", Some(Lower),
        "Σ agent durations", "what the work of all agents adds up to"),
    metric("balance", Run, Client, "", Some(Higher),
        "shortest ÷ longest agent duration", "how alike the agents' durations are; of two that start together efficiency_percent is 50 × (1 + balance), and tells no more"),
    metric("speedup", Run, Client, "×", Some(Higher),
        "Σ agent durations ÷ wall; an agent's duration is its first start (in a workflow that of its scan) → last end", "overlap of the agents, not a gain over working one after the other: that needs the solo control"),
    metric("efficiency_percent", Run, Client, "%", Some(Higher),
        "100 × speedup ÷ agents", "load balance: for two agents that start together it equals 50 × (1 + t_min ÷ t_max)"),
    metric("efficiency_drop_pp", Run, Client, "pp", Some(Lower),
        "100 − efficiency_percent", "how far the load balance is from even, in percentage points"),
    metric("aggregate_tokens_per_s", Run, Both, "tok/s", Some(Higher),
        "Σ made_tokens ÷ wall", "tokens of all agents over the duration of the measured work"),
    metric("contention", Run, Client, "", Some(Lower),
        "1 if speedup < 1.5, else 0; two agents only", "the researchers' flag for agents that did not overlap"),
    metric("throughput_delta", Run, Both, "tok/s", None,
        "client_tokens_per_s of the second agent − of the first; two agents only", "positive: the second agent is faster"),
    metric("ttft_delta_ms", Run, Client, "ms", None,
        "ttft_ms of the first agent − of the second; two agents only", "positive: the second agent answers sooner"),
    metric("startup_ms", Run, Executor, "ms", Some(Lower),
        "spawn → ready", "start of the agent's process"),
    metric("peak_rss_mb", Run, Executor, "MB", Some(Lower),
        "largest resident set of the agent's process; unknown with processes = agent, where the system tells only the largest of several", "memory of the client; agent_rss_peak_mb is that of all its processes"),
    metric("cpu_s", Run, Executor, "s", Some(Lower),
        "user + system time of the agent's process", "CPU time of the client, start and warm-up included"),
    metric("cpu_s_per_1000_tokens", Run, Executor, "s", Some(Lower),
        "1000 × cpu_s ÷ made_tokens of all calls, warm-up included", "CPU cost of the client"),
    metric("stage_scan_ms", Run, Client, "ms", Some(Lower),
        "mean of end − start of the measured scans", "finding the files; only in a workflow"),
    metric("stage_ingest_ms", Run, Client, "ms", Some(Lower),
        "mean of end − start of the measured ingests", "reading the files and making the data summary; only in a workflow"),
    metric("stage_analysis_ms", Run, Client, "ms", Some(Lower),
        "mean of end − start of the measured analyses", "the call with the data summary, making its prompt included; only in a workflow"),
    metric("stage_report_ms", Run, Client, "ms", Some(Lower),
        "mean of end − start of the measured reports", "the call with the analysis' answer, making its prompt included; only in a workflow"),
    metric("measured_calls", Run, Client, "calls", None,
        "number of calls that count", "calls behind the run's figures"),
    metric("failed_calls", Run, Client, "calls", Some(Lower),
        "number of measured calls that do not count", "calls that ended in another way than ok or length"),
    metric("loop_lag_p50_ms", Run, Client, "ms", Some(Lower),
        "50th percentile of the loop lag; where each agent has its own loop, over the samples of all", "typical delay of the agents' event loop"),
    metric("loop_lag_p99_ms", Run, Client, "ms", Some(Lower),
        "99th percentile of the loop lag; where each agent has its own loop, over the samples of all", "delay of the event loop that one sample in a hundred exceeds"),
    metric("loop_lag_max_ms", Run, Client, "ms", Some(Lower),
        "largest loop lag", "longest delay of the event loop"),
    metric("loop_lag_mean_ms", Run, Client, "ms", Some(Lower),
        "mean loop lag", "average delay of the event loop"),
    metric("loop_lag_stalls", Run, Client, "", Some(Lower),
        "number of samples with a lag > 10 ms ÷ loops", "stalls of an event loop"),
    metric("loop_lag_stalled_percent", Run, Client, "%", Some(Lower),
        "100 × Σ part of the stalls in the loop's measured window ÷ Σ measured windows of the loops", "share of the time in which an event loop was held up"),
    metric("loop_blocked_percent", Run, Client, "%", Some(Lower),
        "100 × Σ part of every lag in the loop's measured window ÷ Σ measured windows of the loops", "share of the time in which an event loop was held, each hold less the part of it that fell into the probe's sleep; the grain of timers is in it, so compare above idle"),
    metric("loop_wait_mean_ms", Run, Client, "ms", Some(Lower),
        "Σ ∫ (end of the lag − t) dt over the moments t of every lag in the loop's measured window ÷ Σ measured windows of the loops; for a lag L within it L² ÷ 2", "mean wait for the event loop of what arrives at a random moment, moments at which the loop is free included; at least, since a hold's part in the probe's sleep is not seen"),
    metric("loop_wait_p99_ms", Run, Client, "ms", Some(Lower),
        "the wait that is exceeded at 1 % of the moments of the loops' measured windows", "wait for the event loop that one arrival in a hundred exceeds; at least, as for the mean"),
    metric("loop_lag_samples", Run, Client, "", None,
        "number of samples, of all loops", "samples behind the figures of loop lag"),
    metric("loop_lag_loops", Run, Client, "", None,
        "number of loops", "1, or as many as agents where each has its own"),
    metric("idle_loop_lag_p50_ms", Run, Client, "ms", Some(Lower),
        "50th percentile of the loop lag in the idle control", "noise floor of the probe: typical"),
    metric("idle_loop_lag_p99_ms", Run, Client, "ms", Some(Lower),
        "99th percentile of the loop lag in the idle control", "noise floor of the probe: one sample in a hundred exceeds it"),
    metric("idle_loop_lag_max_ms", Run, Client, "ms", Some(Lower),
        "largest loop lag in the idle control", "noise floor of the probe: largest"),
    metric("idle_loop_lag_mean_ms", Run, Client, "ms", Some(Lower),
        "mean loop lag in the idle control", "noise floor of the probe: average"),
    metric("idle_loop_lag_stalls", Run, Client, "", Some(Lower),
        "number of samples of the idle control with a lag > 10 ms ÷ loops", "stalls that no call caused"),
    metric("idle_loop_blocked_percent", Run, Client, "%", Some(Lower),
        "loop_blocked_percent of the idle control's window", "noise floor of the probe: share of the time by which its timer wakes late on an idle loop"),
    metric("idle_loop_wait_mean_ms", Run, Client, "ms", Some(Lower),
        "loop_wait_mean_ms of the idle control's window", "noise floor of the probe: mean wait"),
    metric("idle_loop_wait_p99_ms", Run, Client, "ms", Some(Lower),
        "loop_wait_p99_ms of the idle control's window", "noise floor of the probe: wait that one moment in a hundred exceeds"),
    metric("loop_lag_p50_ms_above_idle", Run, Client, "ms", Some(Lower),
        "loop_lag_p50_ms − idle_loop_lag_p50_ms", "typical lag that the work causes"),
    metric("loop_lag_p99_ms_above_idle", Run, Client, "ms", Some(Lower),
        "loop_lag_p99_ms − idle_loop_lag_p99_ms", "high lag that the work causes"),
    metric("loop_lag_max_ms_above_idle", Run, Client, "ms", Some(Lower),
        "loop_lag_max_ms − idle_loop_lag_max_ms", "largest lag beyond that of the idle control"),
    metric("loop_lag_mean_ms_above_idle", Run, Client, "ms", Some(Lower),
        "loop_lag_mean_ms − idle_loop_lag_mean_ms", "average lag that the work causes"),
    metric("loop_lag_stalls_above_idle", Run, Client, "", Some(Lower),
        "loop_lag_stalls − idle_loop_lag_stalls × measured window ÷ idle window", "stalls beyond those expected of an idle loop in the same time"),
    metric("loop_blocked_percent_above_idle", Run, Client, "%", Some(Lower),
        "loop_blocked_percent − idle_loop_blocked_percent", "share of the time for which the work holds an event loop"),
    metric("loop_wait_mean_ms_above_idle", Run, Client, "ms", Some(Lower),
        "loop_wait_mean_ms − idle_loop_wait_mean_ms", "mean wait for the event loop that the work causes"),
    metric("loop_wait_p99_ms_above_idle", Run, Client, "ms", Some(Lower),
        "loop_wait_p99_ms − idle_loop_wait_p99_ms", "wait that one arrival in a hundred exceeds beyond that of the idle control"),
    metric("loop_lag_probe_cost_percent", Run, Client, "%", Some(Lower),
        "100 × CPU time of the probe ÷ Σ over loops of the time from first to last sample", "share of a core that the probe takes of a loop: its samples, each as dear as where the loop runs nothing else, its timer and the loop's turn included; an upper limit, since beside other work a turn is shared"),
    metric("chunk_probe_cost_percent", Run, Client, "%", Some(Lower),
        "100 × CPU time of the chunk probe ÷ time from the first start to the last end of all calls, warm-up included", "share of a core that the rows take, by rows that are made up after the calls; unknown without that probe"),
    metric("read_delay_cost_percent", Run, Client, "%", Some(Lower),
        "100 × CPU time that reads with the kernel's stamp take beyond plain ones ÷ time from the first start to the last end of all calls, warm-up included", "share of a core that learning read_delay_ms takes of the process, by reads that are made up after the calls; unknown where the system stamps nothing"),
    metric("active_s", Run, Client, "s", None,
        "length of active inference", "time in which a measured call was going on, loading left out"),
    metric("gpu_power_w", Run, Executor, "W", Some(Lower),
        "gpu_energy_j ÷ active_s", "mean power of the GPUs over active inference"),
    metric("gpu_idle_power_w", Run, Executor, "W", Some(Lower),
        "integral of power over the idle control ÷ its length", "what the GPUs take before any call"),
    metric("gpu_energy_j", Run, Executor, "J", Some(Lower),
        "Σ over GPUs of the counter's gain, or else of the integral of power, in active inference", "energy of the GPUs over active inference"),
    metric("gpu_energy_counter_j", Run, Executor, "J", Some(Lower),
        "Σ over GPUs of the energy counter's gain in active inference", "by the driver's counter; unknown as soon as one GPU has none"),
    metric("gpu_energy_integral_j", Run, Executor, "J", Some(Lower),
        "Σ over GPUs of the integral of power over active inference, by trapezoids", "by samples of power; should agree with the counter"),
    metric("joules_per_token", Run, Executor, "J/token", Some(Lower),
        "gpu_energy_j ÷ tokens", "energy of the GPUs for a token"),
    metric("tokens_per_joule", Run, Executor, "token/J", Some(Higher),
        "tokens ÷ gpu_energy_j", "tokens for a joule of the GPUs"),
    metric("gpu_sm_percent", Run, Executor, "%", None,
        "mean of SM utilisation over the samples in active inference", "share of time in which the GPU ran a kernel, as the driver counts it"),
    metric("gpu_memory_percent", Run, Executor, "%", None,
        "mean of memory utilisation over the samples in active inference", "share of time in which the GPU's memory was read or written; not how much of it is used"),
    metric("redline_percent", Run, Executor, "%", None,
        "100 × samples in active inference with SM utilisation ≥ 99 % ÷ samples in it", "share of time at the GPU's limit"),
    metric("gpu_throttled_percent", Run, Executor, "%", Some(Lower),
        "100 × samples in active inference whose clocks power, heat or hardware held down ÷ samples in it", "share of time in which the GPU was slower than it could be"),
    metric("gpu_memory_peak_mb", Run, Executor, "MB", Some(Lower),
        "Σ over GPUs of the largest memory used in the measured window", "memory of the GPUs, of all programs"),
    metric("gpu_pcie_rx_peak_mb_per_s", Run, Executor, "MB/s", None,
        "largest rate received over PCIe in the measured window", "peak traffic to the GPU"),
    metric("gpu_pcie_tx_peak_mb_per_s", Run, Executor, "MB/s", None,
        "largest rate sent over PCIe in the measured window", "peak traffic from the GPU"),
    metric("gpu_temperature_max_c", Run, Executor, "°C", Some(Lower),
        "highest temperature in the measured window", "heat of the GPU"),
    metric("gpu_samples", Run, Executor, "", None,
        "number of rows in active inference, of all GPUs", "samples behind the figures of the GPU"),
    metric("host_cpu_percent", Run, Executor, "%", None,
        "100 × CPU time at work ÷ CPU time, of all cores; at most 100", "load of the machine, by whatever caused it"),
    metric("host_memory_peak_mb", Run, Executor, "MB", None,
        "largest memory that was not available", "memory of the machine, of all programs"),
    metric("host_swap_peak_mb", Run, Executor, "MB", Some(Lower),
        "largest swap used", "more than usual means that memory was short"),
    metric("host_load_1m", Run, Executor, "", None,
        "mean of the load average over one minute", "processes that ran or wanted to"),
    metric("host_cpu_mhz", Run, Executor, "MHz", None,
        "mean frequency over cores and samples", "clock of the machine's cores"),
    metric("agent_cpu_percent", Run, Executor, "%", Some(Lower),
        "100 × CPU time gained by the agent's processes ÷ measured window; of a command: 100 × CPU time of its process, the children it waited for and what it left behind ÷ process_wall_ms", "CPU of the client while it is measured; 100 is one core. Of a command unknown if processes that it started ended without being waited for, which nobody counts"),
    metric("agent_rss_peak_mb", Run, Executor, "MB", Some(Lower),
        "largest sum of resident memory of the agent's processes", "memory of the client with its children; what they share counts for each"),
    metric("server_cpu_percent", Run, Executor, "%", None,
        "100 × CPU time gained by the processes of local servers ÷ measured window", "CPU of the servers on this machine"),
    metric("server_cpu_s_per_1000_tokens", Run, Executor, "s", Some(Lower),
        "1000 × CPU time gained by the processes of local servers ÷ tokens", "CPU cost of the servers on this machine"),
    metric("server_rss_peak_mb", Run, Executor, "MB", Some(Lower),
        "largest sum of resident memory of the processes of local servers", "memory of the servers on this machine"),
    metric("runner_cpu_percent", Run, Executor, "%", Some(Lower),
        "100 × CPU time gained by the executor's process ÷ measured window", "the executor with its probes and, where there are any, the paced endpoints"),
    metric("host_samples", Run, Executor, "", None,
        "number of rows in the measured window", "samples behind the figures of the host"),
    metric("others_cpu_percent", Run, Executor, "%", Some(Lower),
        "100 × (CPU time at work − that of the agent's processes, of the executor and of the run's servers on this machine) ÷ CPU time, of all cores, from right before the start of the agent's process to its end; unknown below 1 s of all cores' time", "share of all cores' time that other processes took during the run; with no probe"),
    metric("process_wall_ms", Command, Executor, "ms", Some(Lower),
        "start → end of the command's process", "duration of the command as its starter sees it, its own start included"),
    metric("tokenizer_tokens_per_s", Tokenizer, Client, "tok/s", Some(Higher),
        "Σ tokens ÷ Σ time of the measured passes over the whole text", "rate of encoding a long text at once"),
    metric("tokenizer_mb_per_s", Tokenizer, Client, "MB/s", Some(Higher),
        "Σ bytes ÷ 10^6 ÷ Σ time of the measured passes over the whole text", "the same by the text's size, which does not depend on the vocabulary: the rate to compare tokenizers by"),
    metric("tokenizer_latency_ms", Tokenizer, Client, "ms", Some(Lower),
        "mean time of a measured pass over the whole text", "wait for a long text"),
    metric("tokenizer_tokens", Tokenizer, Client, "tokens", None,
        "ids of one pass over the whole text", "length of the text for the model"),
    metric("tokenizer_bytes_per_token", Tokenizer, Client, "B/token", None,
        "bytes ÷ tokens of the whole text", "how much text an id stands for"),
    metric("tokenizer_load_ms", Tokenizer, Client, "ms", Some(Lower),
        "opening the tokenizer's file → it can encode", "paid once per process"),
    metric("tokenizer_vocabulary", Tokenizer, Client, "", None,
        "number of ids that the tokenizer has", "size of the vocabulary, added tokens included"),
    metric("tokenizer_lines_tokens_per_s", Tokenizer, Client, "tok/s", Some(Higher),
        "Σ tokens ÷ Σ time of the measured passes over lines", "rate of encoding line by line"),
    metric("tokenizer_lines_mb_per_s", Tokenizer, Client, "MB/s", Some(Higher),
        "Σ bytes ÷ 10^6 ÷ Σ time of the measured passes over lines", "the same by the text's size"),
    metric("tokenizer_lines_bytes_per_token", Tokenizer, Client, "B/token", None,
        "bytes ÷ tokens of the lines", "how much text an id stands for, line by line"),
    metric("tokenizer_lines_p50_us", Tokenizer, Client, "µs", Some(Lower),
        "50th percentile of the time of a line", "typical line"),
    metric("tokenizer_lines_p99_us", Tokenizer, Client, "µs", Some(Lower),
        "99th percentile of the time of a line", "long or difficult lines"),
    metric("tokenizer_pieces_tokens_per_s", Tokenizer, Client, "tok/s", Some(Higher),
        "Σ tokens ÷ Σ time of the measured passes over pieces", "rate of encoding pieces of 1 to 200 characters, as streams deliver text"),
    metric("tokenizer_pieces_mb_per_s", Tokenizer, Client, "MB/s", Some(Higher),
        "Σ bytes ÷ 10^6 ÷ Σ time of the measured passes over pieces", "the same by the text's size"),
    metric("tokenizer_pieces_bytes_per_token", Tokenizer, Client, "B/token", None,
        "bytes ÷ tokens of the pieces", "how much text an id stands for where words are cut"),
    metric("tokenizer_pieces_p50_us", Tokenizer, Client, "µs", Some(Lower),
        "50th percentile of the time of a piece", "what an agent waits for a typical piece"),
    metric("tokenizer_pieces_p99_us", Tokenizer, Client, "µs", Some(Lower),
        "99th percentile of the time of a piece", "what an agent waits for one piece in a hundred, or longer"),
    metric("slowdown", CallAndRunAgainstSolo, Both, "×", Some(Lower),
        "time per token of the agent's calls ÷ the same alone, time being e2e_ms; a run's is the mean of its agents'", "how many times slower an agent is than alone: 1 is no contention"),
    metric("ttft_above_solo_ms", CallAndRunAgainstSolo, Client, "ms", Some(Lower),
        "ttft_ms − ttft_ms alone; a run's is the mean of its agents'", "later first chunk than alone"),
    metric("scaling_efficiency_percent", AgainstSolo, Both, "%", Some(Higher),
        "100 × aggregate_tokens_per_s ÷ Σ agents' solo aggregate_tokens_per_s", "throughput kept when the agents work at the same time; agents that end at different times make it fall without contention, since a rate alone is over a shorter time"),
    metric("contention_efficiency_percent", AgainstSolo, Both, "%", Some(Higher),
        "100 × the longest agent at its speed alone ÷ the longest agent, lengths being Σ e2e_ms of its calls and, alone, its solo time per token × its tokens", "100 % is no contention, however unlike the agents are; 100 ÷ agents for like agents that wait for each other"),
    metric("solo_same_repeat", AgainstSolo, Client, "", None,
        "1 if every solo figure is of the same repeat, 0 if a mean over repeats stands in for one", "how a run was joined with its controls"),
    metric("usd_per_million_tokens", Priced, Executor, "USD", Some(Lower),
        "10^6 × (usd_per_hour × wall_ms ÷ 3 600 000 + usd_per_kwh × gpu_energy_j ÷ 3 600 000) ÷ tokens", "cost at the declared price; a part that is not declared is left out, one that is not known makes it unknown"),
];
