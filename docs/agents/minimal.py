#!/usr/bin/env python3
"""A complete runtime of the agent protocol, version 2, on Python's standard library alone."""
import http.client, json, os, sys, threading, time, urllib.parse
from datetime import datetime, timezone

NAMES = {"total_ns": "total_duration", "load_ns": "load_duration", "prompt_tokens": "prompt_eval_count",
         "prefill_ns": "prompt_eval_duration", "tokens": "eval_count", "decode_ns": "eval_duration"}
COLUMNS = "time_ns,read_ns,agent,call,index,bytes,gap_ms,parse_ms,text"
APIS = ("ollama", "openai_chat", "openai_completions")
UNKNOWN = ("route", "headers", "extra", "dialect", "answers_as")
INFO = {"name": "minimal", "version": "1", "details": {"python": sys.version.split()[0]}}
now, lock = time.monotonic_ns, threading.Lock()


def emit(event, **fields):
    with lock:
        print(json.dumps({"event": event, "t_ns": now(), **fields}), flush=True)


def request(agent, prompt):
    """Path and body of one call."""
    options, limit = dict(agent.get("options", {})), agent.get("max_tokens")
    if agent["api"] == "ollama":
        if limit is not None:
            options["num_predict"] = limit
        if isinstance(options.get("stop"), str):          # a text would be HTTP 500
            options["stop"] = [options["stop"]]
        extra = {"options": options} if options else {}
        return "/api/generate", {"model": agent["model"], "prompt": prompt, "stream": True, **extra}
    body = {**options, "model": agent["model"], "stream": True, "stream_options": {"include_usage": True}}
    if limit is not None:
        body["max_tokens"] = limit
    if agent["api"] == "openai_chat":
        return "/chat/completions", {**body, "messages": [{"role": "user", "content": prompt}]}
    return "/completions", {**body, "prompt": prompt}


def read_payload(api, payload, record):
    """Text of one line or event, and whether it is the last; keeps what it says of the answer."""
    if payload == b"[DONE]":
        return None, True
    data = json.loads(payload)
    if data.get("error"):
        error = data["error"]
        raise RuntimeError(error.get("message", str(error)) if isinstance(error, dict) else error)
    server = record["server"]
    if api == "ollama":
        if data.get("done"):
            record["finish_reason"] = data.get("done_reason")
            server.update({ours: data[theirs] for ours, theirs in NAMES.items() if theirs in data})
        return (data.get("thinking") or "") + (data.get("response") or ""), bool(data.get("done"))
    usage = data.get("usage") or {}
    server.update({ours: usage[theirs] for ours, theirs in
                   (("tokens", "completion_tokens"), ("prompt_tokens", "prompt_tokens")) if theirs in usage})
    choice = (data.get("choices") or [{}])[0]
    record["finish_reason"] = choice.get("finish_reason") or record["finish_reason"]
    delta = choice.get("delta", {})
    thought = delta.get("reasoning") or delta.get("reasoning_content") or ""
    return thought + (delta.get("content") or choice.get("text") or ""), False


def stream(spec, agent, record, response, sock, deadline, texts, rows):
    """Takes chunks until the last one; True when it came."""
    due, rest, api = 0, b"", agent["api"]
    while True:
        sock.settimeout(max((deadline - now()) / 1e9, 0.001))
        data = response.read1(spec.get("read_buffer") or 65536)
        read_ns = now()                                   # before anything looks at the data
        if not data:                                      # some servers leave [DONE] out
            return api != "ollama" and record["finish_reason"] is not None
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if api != "ollama":
                line = line[5:] if line.startswith(b"data:") else b""
            payload, before = line.strip(), now()
            if not payload:
                continue
            text, last = read_payload(api, payload, record)
            parse_ms, taken = (now() - before) / 1e6, read_ns
            if text is None:                              # [DONE] is no chunk
                return True
            if text and spec.get("throttle"):
                due = max(read_ns, due + int(1e9 / spec["throttle"])) if due else read_ns
                time.sleep(max(due - now(), 0) / 1e9)
                taken = max(now(), due) if due > read_ns else read_ns
            if rows:
                taken = max(taken, rows[-1][0])
            if text:
                if not texts:
                    emit("first_token", agent=agent["name"], call=record["call"])
                texts.append(text)
                record["text_offsets_ns"].append(taken - record["start_ns"])
            gap = (taken - rows[-1][0]) / 1e6 if rows else ""
            rows.append((taken, read_ns, agent["name"], record["call"], record["chunks"], len(payload),
                         gap, parse_ms, int(bool(text))))
            record["chunks"] += 1
            record["bytes"] += len(line)
            if last:
                return True


def make_call(spec, agent, key, number, call, records):
    url, (path, body) = urllib.parse.urlsplit(agent["url"]), request(agent, call["prompt"])
    record = {"agent": agent["name"], "call": number, "warmup": call.get("warmup", False), "start_ns": now(),
              "text_offsets_ns": [], "outcome": "ok", "chunks": 0, "bytes": 0, "finish_reason": None, "server": {}}
    texts, rows, deadline, answered = [], [], record["start_ns"] + spec["timeout_ns"], False
    headers = {"content-type": "application/json", "x-request-id": f"{spec['run']}/{agent['name']}/{number}"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    emit("call_started", agent=agent["name"], call=number, warmup=record["warmup"])
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname, url.port, timeout=spec["timeout_ns"] / 1e9)
    try:
        connection.connect()
        sock, send, record["connected_ns"] = connection.sock, connection.send, now()
        record["local_port"] = sock.getsockname()[1]

        def noted(data):                                  # the last write stands, and begins after this
            record["sent_ns"] = now()
            send(data)
        connection.send = noted
        connection.request("POST", url.path.rstrip("/") + path, json.dumps(body), headers)
        response = connection.getresponse()
        answered, record["headers_ns"], record["http_status"] = True, now(), response.status
        if response.status >= 300:
            text = response.read(65536).decode(errors="replace")
            record.update(outcome="http_error", error=text or f"HTTP {response.status}")
        elif not stream(spec, agent, record, response, sock, deadline, texts, rows):
            record.update(outcome="truncated", error="the stream ended without its last record")
        elif record["finish_reason"] == "length":
            record["outcome"] = "length"
    except RuntimeError as error:
        record.update(outcome="in_band_error", error=str(error))
    except TimeoutError:
        record.update(outcome="timeout", error="no end within the limit")
    except ValueError as error:                           # neither JSON nor UTF-8
        record.update(outcome="malformed", error=str(error))
    except (OSError, http.client.HTTPException) as error:
        record.update(outcome="truncated" if answered else "connect_error", error=repr(error))
    finally:
        connection.close()
    record["end_ns"] = now()
    emit("call_finished", agent=agent["name"], call=number, outcome=record["outcome"],
         tokens=record["server"].get("tokens"))
    records.append((record, texts, rows))


def work(spec, agent, key, barrier, records):
    calls = list(enumerate(agent["calls"]))
    for number, call in calls:
        if call.get("warmup"):
            make_call(spec, agent, key, number, call, records)
    barrier.wait()                                        # all warm-ups have ended
    for number, call in calls:
        if not call.get("warmup"):
            make_call(spec, agent, key, number, call, records)


def main():
    spec = json.loads(sys.stdin.read())                   # to the end of standard input
    keys = [agent.get("api_key_env") for agent in spec["agents"]]
    missing = [name for name in keys if name and name not in os.environ]
    probes, reasons = spec.get("probes", {}), [f"not set: {name}" for name in missing]
    if spec["protocol"] != 2:
        reasons = ["this runtime speaks protocol 2"]
    elif any(agent.get("workflow") for agent in spec["agents"]):
        reasons = ["this runtime has no workflow"]
    elif foreign := [agent["api"] for agent in spec["agents"] if agent["api"] not in APIS]:
        reasons = [f"this runtime does not speak {foreign[0]}"]
    elif spec.get("connection", "new") != "new":
        reasons = ["this runtime keeps no connection"]
    elif spec.get("lag_dose"):
        reasons = ["this runtime has threads and no event loop for a lag_dose"]
    elif unknown := [key for key in UNKNOWN if any(agent.get(key) for agent in spec["agents"])]:
        reasons = [f"this runtime knows no {unknown[0]}"]
    elif spec.get("tokenize"):
        reasons = ["this runtime has no tokenizers for `tokenize`"]
    elif spec.get("variant"):                             # ignored, it would pass for measured
        reasons = [f"this runtime has no setting {name}" for name in spec["variant"]]
    elif probes.get("loop_lag_ns"):
        reasons = ["this runtime has threads and no event loop whose lag could be probed"]
    if reasons:
        emit("error", message=reasons[0])
        sys.exit(2)
    emit("ready", protocol=2, runtime=INFO)
    clock = {"monotonic_ns": now(), "utc": datetime.now(timezone.utc).isoformat(timespec="milliseconds")}
    idle = {"start_ns": now()}
    time.sleep(probes.get("idle_ns", 0) / 1e9)
    idle["end_ns"] = now()
    records, barrier = [], threading.Barrier(max(len(spec["agents"]), 1))
    threads = [threading.Thread(target=work, args=(spec, agent, os.environ.get(key or ""), barrier, records))
               for agent, key in zip(spec["agents"], keys)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records.sort(key=lambda entry: entry[0]["start_ns"])
    folder = spec["artifacts"]
    os.makedirs(os.path.join(folder, "responses"), exist_ok=True)
    for record, texts, _ in records:
        name = f"{record['agent']}-{record['call']}.txt"
        with open(os.path.join(folder, "responses", name), "w", encoding="utf-8", newline="") as file:
            file.write("".join(texts))
    if probes.get("chunks"):
        with open(os.path.join(folder, "chunk_metrics.csv"), "w", encoding="utf-8") as file:
            print(COLUMNS, *(",".join(map(str, row)) for _, _, rows in records for row in rows), sep="\n", file=file)
    with open(os.path.join(folder, "agent.json"), "w", encoding="utf-8") as file:
        json.dump({"protocol": 2, "runtime": INFO, "clock": clock, "calls": [r for r, _, _ in records],
                   **({"idle": idle} if probes.get("idle_ns") else {})}, file)
    emit("done")


main()
