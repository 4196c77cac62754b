"""Refusals of the library in the words of the command line: `--depth`, where Python says argument 'depth'."""

import re
from collections.abc import Sequence
from typing import Any

from typer.main import get_command

from .answering import app

# What the library calls a thing that has another name here; of several, the first that the command has.
_ALIASES = {
    "name": ("name", "plan"),
    "path": ("output", "path", "save"),
    "shape": ("shape", "elements"),
    "shapes": ("shapes", "source"),
    "source": ("source", "shapes"),
    "tensors": ("path",),
}


def in_own_words(message: str, arguments: Sequence[str]) -> str:
    """Return a refusal as the command that these words call for would have put it."""
    known = _options(arguments)

    def name(match: re.Match[str]) -> str:
        word = match[1]
        if word.startswith("-"):
            return word
        typed = [known[alias][0] for alias in _ALIASES.get(word, (word,)) if alias in known]
        if typed:
            return typed[0]
        return f"-p {word}" if "-p" in known.get("param", ()) else f"'{word}'"

    def flag(match: re.Match[str]) -> str:
        return known.get(match[1], (match[0],))[0]

    message = re.sub(r"^\w+\(\) has no argument '([^']+)'", r"scheme and activation have no -p \1", message)
    message = re.sub(r"\bargument '([^']+)'", name, message)
    return re.sub(r"\b(\w+)=True\b", flag, message)


def _options(arguments: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return a command's parameters as they are typed."""
    commands: Any = get_command(app)
    word = next((word for word in arguments if not word.startswith("-")), "")
    parameters = commands.commands[word].params if word in commands.commands else []
    return {
        one.name: (one.name.upper(),) if one.param_type_name == "argument" else tuple(one.opts) for one in parameters
    }
