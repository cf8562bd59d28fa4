"""The secrets and further headers of requests, settled before the first call.

What the environment holds is freed of blanks and line ends around it, or refused by the name of its variable:
no message repeats it.
"""

from collections.abc import Callable, Mapping

from runner_agent.fields import Refused, known, text_of

# Around a key they are a slip of whoever stored it: the end of a line in a file, a blank that was copied.
BLANKS = " \t\r\n"
# Characters of a header's name besides letters and digits.
NAME = frozenset("!#$%&'*+-.^_`|~")
UNSENDABLE = "holds a control character, which no header can carry"

# Makes the refusal of an agent's spec from a reason.
Wrong = Callable[[str], Refused]


def key(api: str, variable: str, environment: Mapping[str, str], wrong: Wrong) -> str:
    """The API key that an environment variable holds."""
    text = secret("its API key", variable, environment, wrong)
    if api != "anthropic" and text.lower().startswith("bearer "):
        reason = "begins with `Bearer `, which is put before it anyway: store the key alone"
        raise wrong(f"its API key in the environment variable {variable} {reason}")
    return text


def further(
    given: dict, environment: Mapping[str, str], wrong: Wrong
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The headers that a spec adds to those of the protocol, and the values among them that are secrets."""
    headers, secrets = {}, []
    for name, value in given.items():

        def unsendable(reason: str, name: str = name) -> Refused:
            return wrong(f'the header "{name}" cannot be sent: {reason}')

        if not name or not all(is_letter(letter) or letter in NAME for letter in name):
            raise unsendable("that is no name of a header")
        if not isinstance(value, dict) or len(value) != 1:
            raise unsendable("its value is one of text, env")
        known(value, frozenset(("text", "env")))
        if "env" in value:
            variable = text_of(value, "env")
            headers[name] = secret(f"the header `{name}`", variable, environment, wrong)
            secrets.append(headers[name])
        else:
            text = text_of(value, "text").strip(BLANKS)
            reason = why_unsendable(text)
            if reason is not None:
                raise unsendable(reason)
            headers[name] = text
    return headers, tuple(secrets)


def is_letter(letter: str) -> bool:
    return letter.isascii() and letter.isalnum()


def secret(what: str, variable: str, environment: Mapping[str, str], wrong: Wrong) -> str:
    text = environment.get(variable, "").strip(BLANKS)
    if not text:
        raise wrong(f"the environment variable {variable} with {what} is not set")
    reason = why_unsendable(text)
    if reason is not None:
        raise wrong(f"{what} in the environment variable {variable} {reason}")
    return text


def why_unsendable(text: str) -> str | None:
    """Why no header can carry a text; None: one can."""
    if text.endswith(("\\n", "\\r")):
        return "ends with a line end that is spelled out, a backslash and a letter: remove it"
    if "\r" in text or "\n" in text:
        return "holds a line end: store it on one line"
    if not text.isascii():
        return "holds a character that is not ASCII, which no header can carry"
    if not text.isprintable():
        return UNSENDABLE
    return None
