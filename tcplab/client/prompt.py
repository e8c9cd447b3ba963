"""A prompt that stays in its place: below what the server says, before what is typed. Pure."""

from __future__ import annotations

from tcplab.client.display import Display

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
