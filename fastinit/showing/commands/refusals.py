"""Refusals of the library in the words of the command line: `--depth`, where Python says argument 'depth'."""

import re
from collections.abc import Sequence
from typing import Any

from typer.main import get_command

from .answering import app

# What the library calls a thing that has another name here; of several, the first that the command has.
_ALIASES = {
    "path": ("output", "path", "save"),
    "shapes": ("shapes", "source"),
    "tensors": ("path",),
    "preset": ("plan",),
    "source": ("source", "shapes"),
    "q0": ("q",),
}


def in_own_words(message: str, arguments: Sequence[str]) -> str:
    """Return a refusal as the command that these words call for would have put it."""
    known = _options(arguments)

    def name(match: re.Match[str]) -> str:
        word = match[1]
        if word.startswith("-"):
            return word
        for alias in _ALIASES.get(word, (word,)):
            if alias in known:
                return known[alias]
        return f"-p {word}" if "param" in known else f"'{word}'"

    def flag(match: re.Match[str]) -> str:
        option = known.get(match[1], match[0])
        return option if option.startswith("--") else match[0]

    message = re.sub(r"\bargument '([^']+)'", name, message)
    message = re.sub(r"\b(\w+)=True\b", flag, message)
    return re.sub(
        r"^probe\(\) has no argument '([^']+)'", r"-p \1 is no parameter of a scheme or an activation", message
    )


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Return a command's parameters as they are typed."""
    commands: Any = get_command(app)
    word = next((word for word in arguments if not word.startswith("-")), "")
    chosen = commands.commands.get(word)
    if chosen is None:
        return {}
    return {
        parameter.name: parameter.name.upper() if parameter.param_type_name == "argument" else parameter.opts[0]
        for parameter in chosen.params
    }
