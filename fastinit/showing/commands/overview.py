"""What `fastinit --help` shows: every command in a line, by what it is about, on one screen."""

import re
from typing import Any

from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from ...words import writable

_OPTIONS = "--version, --install-completion; of each command: --help, -h"


class Overview(TyperGroup):
    """The commands together: their help is a line for each, where Typer's boxes fill two screens."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, what it is for, the commands by group, and the options."""
        groups: dict[str, list[Any]] = {}
        for command in self.commands.values():
            groups.setdefault(str(getattr(command, "rich_help_panel", "")), []).append(command)
        text = Text(f"Usage: {ctx.command_path} COMMAND [OPTIONS]\n{self.help}\n")
        for group, commands in groups.items():
            text.append(f"{group}\n", "bold cyan")
            for command in commands:
                text.append(f"  {command.name:<11}", "bold").append(f"{first_words(command.help)}\n")
        text.append("Options", "bold cyan").append(f"  {_OPTIONS}")
        console = Console(highlight=False)
        if console.is_terminal:
            with console.capture() as captured:
                console.print(text, soft_wrap=True)
            formatter.write(captured.get())
        else:
            formatter.write("\n".join(map(writable, text.plain.splitlines())))


def first_words(help_text: str) -> str:
    """Return what a help begins with, up to the first stop, colon or comma."""
    return re.split(r"[.,:;](?:\s|$)", help_text.strip(), maxsplit=1)[0].replace("\n", " ")
