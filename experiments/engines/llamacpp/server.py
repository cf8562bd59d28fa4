"""One llama.cpp server in a process of its own; started by `serve.py` with the private Python.

Prints its base address once it listens and its model is loaded, and ends when its standard input
closes, so that it cannot outlive the program that started it, however that one died.
"""

import argparse
import os
import signal
import sys

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--ctx", type=int, required=True)
    parser.add_argument("--parallel", type=int, required=True)
    args = parser.parse_args()

    # Ctrl-C reaches the whole group of the terminal; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    params = xllamacpp.CommonParams()
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    params.model.path = args.model
    params.model_alias = {args.alias}
    # The wheel does not know its llama.cpp build (`/props` says "b0-unknown"), so `/v1/models`
    # carries what a result needs to name the engine and the model.
    params.model_tags = {f"engine:xllamacpp-{xllamacpp.__version__}", f"sha256:{args.sha256}"}
    params.cpuparams.n_threads = args.threads
    params.cpuparams_batch.n_threads = args.threads
    params.n_parallel = args.parallel
    params.n_ctx = args.ctx * args.parallel  # llama.cpp divides it between the slots
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0  # up to 8 GiB of old prompts otherwise; slots keep their last one
    params.cache_idle_slots = False
    params.verbosity = 2  # warnings and errors; a line per request would be work while measuring

    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        sys.exit(f"{args.alias}: {error}")  # llama.cpp has already said why on stderr
    print(server.listening_address, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # not exit(): it would wait for the threads of requests still being answered


if __name__ == "__main__":
    main()
