"""The wire protocols of inference servers: one file each, with path, headers, body and decoder.

Decoders touch no socket: bytes are pushed as they come, and whole chunks are taken. What is recorded
of a call, and what its outcome is, is decided elsewhere.
"""

from runner_agent.wire.anthropic import MESSAGES
from runner_agent.wire.decoding import Wire
from runner_agent.wire.ollama import CHAT, GENERATE
from runner_agent.wire.openai import CHAT_COMPLETIONS, COMPLETIONS

WIRES: dict[str, Wire] = {
    "ollama": GENERATE,
    "ollama_chat": CHAT,
    "openai_chat": CHAT_COMPLETIONS,
    "openai_completions": COMPLETIONS,
    "anthropic": MESSAGES,
}
