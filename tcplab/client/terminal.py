"""A person at a terminal: a prompt, a line, an answer, until ^D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcplab.client.console import Console
from tcplab.client.display import Display
from tcplab.client.pipe import PipeClient

PROMPT = b"What message for the server? : "
"""What the textbook's client asks."""

# To the line's first column, and erase the line (ECMA-48: EL).
_ERASE = b"\r\x1b[K"


class Prompt:
    """
    Where a prompt stands among the lines of a terminal.

    :param erases: the terminal can erase a line; otherwise what comes begins on a new one.
    """

    def __init__(self, erases: bool = True) -> None:
        self._clear = _ERASE if erases else b"\n"
        self._standing = False

    def ask(self) -> bytes:
        """Return the prompt, to be printed."""
        self._standing = True
        return PROMPT

    def around(self, shown: bytes) -> bytes:
        """Print what came in place of the prompt, and ask again below it."""
        if not self._standing or not shown:
            return shown
        return self._clear + shown + (b"" if shown.endswith(b"\n") else b"\n") + PROMPT

    def finish(self) -> bytes:
        """Ask no more, and leave the line."""
        standing, self._standing = self._standing, False
        return b"\n" if standing else b""


class Prompted:
    """A display that keeps a prompt below what it shows."""

    def __init__(self, display: Display, prompt: Prompt) -> None:
        self._display = display
        self._prompt = prompt

    def feed(self, data: bytes) -> bytes:
        """Show more above the prompt."""
        return self._prompt.around(self._display.feed(data))

    def finish(self) -> bytes:
        """Show what was held."""
        return self._prompt.around(self._display.finish())


class TerminalClient(PipeClient):
    """
    Prompt at once (never wait for a greeting: an echo server sends none) and after each line.

    :param prompt: what is asked.
    :param ask: prints a prompt, where the person sees it.
    """

    def __init__(
        self,
        clock: Any,
        console: Console,
        timeout: float,
        prompt: Prompt,
        ask: Callable[[bytes], object],
    ) -> None:
        super().__init__(clock, console, timeout)
        self._prompt = prompt
        self._ask = ask

    def callBegun(self) -> None:
        """Ask for the first line."""
        super().callBegun()
        self._ask(self._prompt.ask())

    def typed(self, data: bytes) -> None:
        """Send a line with its newline, and ask for the next; the terminal has echoed it."""
        super().typed(data)
        if data.endswith(b"\n"):
            self._ask(self._prompt.ask())

    def inputFinished(self) -> None:
        """^D: ask no more, and read to the end."""
        self._ask(self._prompt.finish())
        super().inputFinished()

    def serverFinished(self) -> None:
        """Leave: nobody should be asked for what nobody will answer."""
        self.leave()
