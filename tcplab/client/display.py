"""How received bytes are printed: raw, escaped for a terminal, or as a hex dump. No I/O."""

from __future__ import annotations

import codecs
import re
from typing import Protocol


class Display(Protocol):
    """Turns received bytes into bytes for stdout."""

    def feed(self, data: bytes) -> bytes:
        """Return what to print for more received bytes; some may be held back."""
        ...

    def finish(self) -> bytes:
        """Return what to print at the end, for the bytes held back."""
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
    """Print nothing."""

    def feed(self, data: bytes) -> bytes:
        """Return nothing."""
        return b""

    def finish(self) -> bytes:
        """Add nothing."""
        return b""


class ForTerminal:
    r"""
    Text that cannot control the terminal.

    Printable UTF-8 stays, and so do newline, tab, and a carriage return before a newline. All else
    is escaped as ``\xNN`` or ``\uNNNN``, also escape sequences and what reorders text.

    :param encoding: the terminal's; characters that it lacks are escaped too.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._heldReturn = ""

    def feed(self, data: bytes) -> bytes:
        """Return the text of ``data``; an incomplete character or line end is held back."""
        return self._safe(self._decoder.decode(data), final=False)

    def finish(self) -> bytes:
        """Return the text that was held back."""
        return self._safe(self._decoder.decode(b"", final=True), final=True)

    def _safe(self, text: str, final: bool) -> bytes:
        text = self._heldReturn + text
        self._heldReturn = "\r" if text.endswith("\r") and not final else ""
        if self._heldReturn:
            text = text[:-1]
        safe = _SUSPECT.sub(_escaped, text)
        return safe.encode(self._encoding, "backslashreplace")


# All but printable ASCII and line ends; most of it turns out to be letters.
_SUSPECT = re.compile(r"\r\n|[^\n\t\x20-\x7e]")


def _escaped(found: re.Match[str]) -> str:
    """Escape one character unless it is printable."""
    character = found[0]
    if character == "\r\n" or character.isprintable():
        return character
    if character == "\r":
        return "\\r"
    code = ord(character)
    # From 0x80 to 0xff: C1 controls, of two bytes in UTF-8. \xNN would read as one byte.
    return (
        f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


_WIDTH = 16


class HexDump:
    """
    Offset, hexadecimal and ASCII as ``hexdump -Cv`` prints them: repeated lines are kept.

    :param atOnce: for a terminal: print an incomplete line as soon as its bytes arrive, and the
        rest as a line with its own offset. Otherwise lines are complete, and the dump does not
        depend on how the bytes were divided.
    """

    def __init__(self, atOnce: bool = False) -> None:
        self._atOnce = atOnce
        self._offset = 0
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that are complete, or all that there is."""
        data = self._held + data
        ready = len(data) if self._atOnce else len(data) - len(data) % _WIDTH
        self._held = data[ready:]
        return self._lines(data[:ready])

    def finish(self) -> bytes:
        """Return the last line, and the offset of the end if there were any bytes."""
        last = self._lines(self._held)
        self._held = b""
        return last + (b"%08x\n" % self._offset if self._offset else b"")

    def _lines(self, data: bytes) -> bytes:
        lines = []
        begin = 0
        while begin < len(data):
            # After an incomplete line the next is short: then offsets are multiples of 16 again.
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
    """Return the display for these options."""
    if quiet:
        return Nothing()
    if hexadecimal:
        return HexDump(atOnce=terminal)
    return ForTerminal(encoding) if terminal else Raw()
