"""How received bytes are shown: raw, safely on a terminal, or as a hex dump. Pure."""

from __future__ import annotations

import codecs
import re
from typing import Protocol


class Display(Protocol):
    """What turns received bytes into bytes for stdout."""

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown of the next bytes received."""
        ...

    def finish(self) -> bytes:
        """Return what is still to be shown at the end."""
        ...


class Raw:
    """The bytes themselves, for pipes and files."""

    def feed(self, data: bytes) -> bytes:
        """Return the bytes."""
        return data

    def finish(self) -> bytes:
        """Add nothing."""
        return b""


class Nothing:
    """Show nothing at all."""

    def feed(self, data: bytes) -> bytes:
        """Show nothing."""
        return b""

    def finish(self) -> bytes:
        """Add nothing."""
        return b""


class ForTerminal:
    r"""
    Text for a terminal that the peer cannot command.

    Printable UTF-8 stays, and so do newline, tab, and a return before a newline. All else, escape
    sequences and what reorders text among it, is shown as ``\xNN`` or ``\uNNNN``.

    :param encoding: the terminal's; what it can't show is escaped too.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._heldReturn = ""

    def feed(self, data: bytes) -> bytes:
        """Return the text of ``data``; a character or a line end cut in two waits for its rest."""
        return self._safe(self._decoder.decode(data), final=False)

    def finish(self) -> bytes:
        """Return what waited."""
        return self._safe(self._decoder.decode(b"", final=True), final=True)

    def _safe(self, text: str, final: bool) -> bytes:
        text = self._heldReturn + text
        self._heldReturn = "\r" if text.endswith("\r") and not final else ""
        if self._heldReturn:
            text = text[:-1]
        safe = _SUSPECT.sub(_escaped, text)
        return safe.encode(self._encoding, "backslashreplace")


# Whatever is neither ASCII's printable part nor a line end; most of it turns out to be a letter.
_SUSPECT = re.compile(r"\r\n|[^\n\t\x20-\x7e]")


def _escaped(found: re.Match[str]) -> str:
    """Escape one character unless it is printable."""
    character = found[0]
    if character == "\r\n" or character.isprintable():
        return character
    if character == "\r":
        return "\\r"
    code = ord(character)
    # Below 0x100 these are C1 controls, which came as two bytes: \xNN would be read as one.
    return (
        f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


_WIDTH = 16


class HexDump:
    """
    Offset, hexadecimal and ASCII, as ``hexdump -C`` writes it; repeated lines are never left out.

    :param atOnce: show an incomplete line as soon as its bytes come (the rest goes to a line with
        its own offset), for someone who watches. Otherwise lines are complete, and the same
        bytes give the same dump in whatever pieces they came.
    """

    def __init__(self, atOnce: bool = False) -> None:
        self._atOnce = atOnce
        self._offset = 0
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that are ready."""
        data = self._held + data
        ready = len(data) if self._atOnce else len(data) - len(data) % _WIDTH
        self._held = data[ready:]
        return self._lines(data[:ready])

    def finish(self) -> bytes:
        """Return the last line, and the offset of the end unless there was nothing."""
        last = self._lines(self._held)
        self._held = b""
        return last + (b"%08x\n" % self._offset if self._offset else b"")

    def _lines(self, data: bytes) -> bytes:
        lines = []
        begin = 0
        while begin < len(data):
            # After an incomplete line shown at once, the next one is short: offsets line up again.
            row = data[begin : begin + _WIDTH - self._offset % _WIDTH]
            lines.append(_line(self._offset, row))
            self._offset += len(row)
            begin += len(row)
        return b"".join(lines)


_UNPRINTABLE = bytes(code if 0x20 <= code <= 0x7E else 0x2E for code in range(256))


def _line(offset: int, row: bytes) -> bytes:
    """Return one line of a dump."""
    hexadecimal = f"{row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}"
    shown = row.translate(_UNPRINTABLE).decode("ascii")
    return f"{offset:08x}  {hexadecimal}  |{shown}|\n".encode()


def display(*, terminal: bool, hexadecimal: bool, quiet: bool, encoding: str) -> Display:
    """Choose how to show what comes."""
    if quiet:
        return Nothing()
    if hexadecimal:
        return HexDump(atOnce=terminal)
    return ForTerminal(encoding) if terminal else Raw()
