"""A client for a user at a terminal: a prompt, a line, an answer, until ^D."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from tcplab.client.display import Display
from tcplab.client.pipe import PipeClient
from tcplab.client.protocol import UserInterface

PROMPT = b"What message for the server? : "
"""The prompt of the textbook's client."""

# Move to the first column, and erase the line (ECMA-48: EL).
_ERASE = b"\r\x1b[K"


class Prompt:
    """
    A prompt that stays in the last line of a terminal.

    :param erases: the terminal can erase a line; otherwise output begins on a new line.
    """

    def __init__(self, erases: bool = True) -> None:
        self._clear = _ERASE if erases else b"\n"
        self._visible = False

    def show(self) -> bytes:
        """Return what to print for a new prompt."""
        self._visible = True
        return PROMPT

    def insert(self, output: bytes) -> bytes:
        """Return what to print for output above the prompt."""
        if not self._visible or not output:
            return output
        return self._clear + output + (b"" if output.endswith(b"\n") else b"\n") + PROMPT

    def leave(self) -> bytes:
        """Return what to print to move on from the prompt; there is none after it."""
        visible, self._visible = self._visible, False
        return b"\n" if visible else b""


class PromptedDisplay:
    """A display that keeps a prompt below its output."""

    def __init__(self, display: Display, prompt: Prompt) -> None:
        self._display = display
        self._prompt = prompt

    def feed(self, data: bytes) -> bytes:
        """Return what to print for more received bytes."""
        return self._prompt.insert(self._display.feed(data))

    def finish(self) -> bytes:
        """Return what to print for the bytes held back."""
        return self._prompt.insert(self._display.finish())


class TerminalClient(PipeClient):
    """
    Prompt for a line, send it, and prompt for the next.

    The first prompt does not wait for a greeting: an echo server sends none.

    :param prompt: the state of the prompt.
    :param write: prints a prompt on the terminal, also where stdout is a file.
    """

    def __init__(
        self,
        clock: IReactorTime,
        console: UserInterface,
        timeout: float,
        prompt: Prompt,
        write: Callable[[bytes], object],
    ) -> None:
        super().__init__(clock, console, timeout)
        self._prompt = prompt
        self._write = write

    def sessionStarted(self) -> None:
        """Prompt for the first line."""
        super().sessionStarted()
        self._write(self._prompt.show())

    def inputReceived(self, data: bytes) -> None:
        """Send a line with its newline, which the terminal has echoed, and prompt for the next."""
        super().inputReceived(data)
        if data.endswith(b"\n"):
            self._write(self._prompt.show())

    def inputEnded(self) -> None:
        """Handle ^D: prompt no more, and read up to the server's end."""
        self._write(self._prompt.leave())
        super().inputEnded()

    def serverClosed(self) -> None:
        """Close at once: no answer can follow another line."""
        self.close()
