"""A client for a user at a terminal: a prompt, a line, an answer, until ^D."""

from __future__ import annotations

import fcntl
import os
import re
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol
from unicodedata import combining, east_asian_width

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from tcplab.client.display import Display
from tcplab.client.pipe import PipeClient
from tcplab.client.protocol import UserInterface

PROMPT = b"What message for the server? : "
"""The prompt of the textbook's client: the server has greeted."""

BARE_PROMPT = b"> "
"""The prompt as long as the server has sent nothing."""

# ECMA-48: to the first column, and erase to the end of the screen (ED); up (CUU); right (CUF).
_ERASE = b"\r\x1b[J"
_UP, _RIGHT = b"\x1b[%dA", b"\x1b[%dC"
_TAB = 8


class TypedLine(Protocol):
    """The line that a user is typing."""

    def entered(self) -> bool:
        """Tell whether Enter was typed, and the line was not read yet."""
        ...

    def take(self) -> bytes:
        """Return what has been typed since Enter."""
        ...

    def complete(self, data: bytes) -> bytes:
        """Return input that was read, behind what was taken of its line before."""
        ...


class TerminalLine:
    """
    The line that a user is typing at a terminal, which keeps it until Enter.

    **Limit:** what was taken before Enter cannot be erased by backspace any more.

    :param descriptor: the terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._taken = b""

    def entered(self) -> bool:
        """Tell whether Enter was typed, and the line was not read yet."""
        return self._readable() > 0

    def take(self) -> bytes:
        """Return what has been typed since Enter; the terminal forgets it."""
        with suppress(OSError, termios.error):  # the terminal is gone, or not the process's own
            # A job in the background would be stopped by a change of the terminal's mode.
            if os.tcgetpgrp(self._descriptor) == os.getpgrp():
                self._taken += self._read()
        return self._taken

    def complete(self, data: bytes) -> bytes:
        """Return input that was read, behind what was taken of its line before."""
        taken, self._taken = self._taken, b""
        return taken + data

    def _read(self) -> bytes:
        # Out of canonical mode (termios(3)) the terminal gives what it has.
        modes = termios.tcgetattr(self._descriptor)
        uncooked = [*modes]
        uncooked[3] &= ~termios.ICANON
        termios.tcsetattr(self._descriptor, termios.TCSANOW, uncooked)
        try:
            size = self._readable()
            return os.read(self._descriptor, size) if size else b""
        finally:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)

    def _readable(self) -> int:
        with suppress(OSError):
            size = fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4))
            return int.from_bytes(size, sys.byteorder)
        return 0


def columnAfter(text: bytes, column: int = 0) -> int:
    """
    Return the column behind a text, on a terminal that is wide enough.

    :param column: the column in which the text begins.
    """
    first, *rest = text.decode(errors="replace").split("\t")
    column += _widthOf(first)
    for part in rest:
        column += _TAB - column % _TAB + _widthOf(part)
    return column


def _widthOf(text: str) -> int:
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _echoed(typed: bytes) -> bytes:
    """Return what a terminal has shown of typed bytes."""
    return re.sub(rb"[\x00-\x08\x0b-\x1f]", lambda code: b"^%c" % (code[0][0] + 64), typed)


class Prompt:
    """
    A prompt that stays in the last line of a terminal.

    A line of output that arrives in pieces is continued above the prompt. What the user has typed
    follows the prompt.

    :param line: what the user is typing.
    :param erases: the terminal can erase, and move up. Otherwise output begins on a new line, and
        the prompt comes back once that line is complete.
    :param columns: returns the width of the terminal.
    """

    def __init__(
        self, line: TypedLine, erases: bool = True, columns: Callable[[], int] = lambda: 80
    ) -> None:
        self.line = line
        self._erases = erases
        self._columns = columns
        self._text = self._shown = BARE_PROMPT
        self._visible = self._suspended = self._answered = False
        self._column = 0  # behind an incomplete line of output above the prompt; 0: it is complete

    def show(self) -> bytes:
        """Return what to print for a new prompt."""
        self._answered = self._answered or self._visible or self._suspended
        self._visible, self._suspended, self._column = True, False, 0
        return self._print()

    def _print(self) -> bytes:
        self._shown = self._text
        return self._text

    def insert(self, output: bytes) -> bytes:
        """Return what to print for output above the prompt."""
        if not output or not (self._visible or self._suspended):
            return output
        if not self._answered:
            self._text = PROMPT
        if self.line.entered():  # the cursor is below the prompt, and a new one is due
            self._column = 0
            return output if output.endswith(b"\n") else output + b"\n"
        return self._insertErasing(output) if self._erases else self._insertBelow(output)

    def _insertBelow(self, output: bytes) -> bytes:
        begin = b"" if self._suspended else b"\n"
        self._suspended = not output.endswith(b"\n")
        self._visible = not self._suspended
        return begin + output + (b"" if self._suspended else self._print())

    def _insertErasing(self, output: bytes) -> bytes:
        columns = max(1, self._columns())
        typed = _echoed(self.line.take())
        rows = (columnAfter(self._shown + typed) - 1) // columns
        begin = (_UP % rows if rows else b"") + _ERASE
        if self._column % columns:  # behind a full line, the next row is that of the prompt
            begin += _UP % 1 + _RIGHT % (self._column % columns)
        *_, last = output.rpartition(b"\n")
        self._column = columnAfter(last, 0 if b"\n" in output else self._column)
        return begin + output + (b"\n" if self._column else b"") + self._print() + typed

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
        super().inputReceived(self._prompt.line.complete(data))
        if data.endswith(b"\n"):
            self._write(self._prompt.show())

    def inputEnded(self) -> None:
        """Handle ^D: prompt no more, and read up to the server's end."""
        self._write(self._prompt.leave())
        if rest := self._prompt.line.complete(b""):
            super().inputReceived(rest)
        super().inputEnded()

    def serverClosed(self) -> None:
        """Close at once: no answer can follow another line."""
        self.close()

    def sessionLost(self, reason: Failure) -> None:
        """End below the prompt."""
        self._write(self._prompt.leave())
        super().sessionLost(reason)
