"""A call in which a person types: a prompt, a line, an answer, until ^D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcplab.client.console import Console
from tcplab.client.piped import PipedCall
from tcplab.client.prompt import Prompt


class TypedCall(PipedCall):
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
