"""rich's part of the moving lines, in a module of its own so that it is loaded only when something moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ddbuild.report.ink import Ink

__all__ = ["Drawing"]


class Drawing:
    """Lines at the end of a terminal that are drawn over again and again.

    `draw` gets width and height of the terminal and returns the lines. Text on the process's own stdout and stderr
    goes above them.
    """

    def __init__(self, stream: TextIO, ink: Ink, draw: Callable[[int, int], list[str]]) -> None:
        self._draw = draw
        self._console = _Console(
            file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True, no_color=not ink.enabled
        )
        self._live = Live(console=self._console, get_renderable=self._render, transient=True, refresh_per_second=8)

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def stop(self) -> None:
        """Take the lines away and give the cursor back."""
        self._live.stop()

    def print(self, text: str) -> None:
        """Print `text` above the lines, neither wrapped nor read as markup."""
        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def _render(self) -> Text:
        width, height = self._console.size
        return Text("\n").join(Text.from_ansi(line) for line in self._draw(width, height))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Fall silent: rich would end the thread, which is the build's."""
        self.quiet = True
