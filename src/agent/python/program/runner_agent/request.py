"""The bodies of requests: one prompt in the words of each server."""

from runner_agent.spec import Agent

PATHS = {
    "ollama": "/api/generate",
    "openai_chat": "/chat/completions",
    "openai_completions": "/completions",
}
# Settings that Ollama takes beside `options`, not in it.
OLLAMA_TOP_LEVEL = ("format", "keep_alive", "raw", "suffix", "system", "template", "think")


def url(agent: Agent) -> str:
    return agent.url + PATHS[agent.api]


def body(agent: Agent, prompt: str) -> dict:
    return ollama(agent, prompt) if agent.api == "ollama" else openai(agent, prompt)


def ollama(agent: Agent, prompt: str) -> dict:
    body = {name: value for name, value in agent.options.items() if name in OLLAMA_TOP_LEVEL}
    options = {name: value for name, value in agent.options.items() if name not in OLLAMA_TOP_LEVEL}
    if agent.max_tokens is not None:
        options["num_predict"] = agent.max_tokens
    body |= {"model": agent.model, "prompt": prompt, "stream": True}
    # Without the key the server's own defaults hold, which is what a baseline measures.
    if options:
        body["options"] = options
    return body


def openai(agent: Agent, prompt: str) -> dict:
    body = dict(agent.options)
    named_by_ollama = body.pop("num_predict", None)
    limit = named_by_ollama if agent.max_tokens is None else agent.max_tokens
    if limit is not None:
        body["max_tokens"] = limit
    body["model"] = agent.model
    if agent.api == "openai_chat":
        body["messages"] = [{"role": "user", "content": prompt}]
    else:
        body["prompt"] = prompt
    return body | {"stream": True, "stream_options": {"include_usage": True}}
