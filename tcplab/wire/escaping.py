"""Escapes: bytes as one printable line and back, for logs and for what people type."""

from __future__ import annotations

import re

__all__ = ["escape", "unescape"]

_NAMED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = {
    code: _NAMED.get(chr(code), f"\\x{code:02x}")
    for code in range(256)
    if not 0x20 <= code <= 0x7E or chr(code) == "\\"
}

_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[\x00-\x7f]?)", re.DOTALL)
_TYPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def escape(data: bytes, limit: int = 200) -> str:
    r"""
    Write ``data`` in printable ASCII (0x20 to 0x7e), to be safe in a log or on a terminal.

    Newline, return and tab become ``\n``, ``\r`` and ``\t``, a backslash is doubled, any other byte
    is ``\xNN``; `unescape` gives the bytes back.

    :param limit: how many bytes of ``data`` are shown; ``...`` stands for the rest. The default is
        about two lines of a terminal.
    """
    text = data[:limit].decode("latin-1").translate(_ESCAPED)
    return text + "..." if len(data) > limit else text


def unescape(text: str) -> bytes:
    r"""
    Read what a person typed: ``\n``, ``\r``, ``\t``, ``\0``, ``\\`` and ``\xNN`` are understood.

    All other text is UTF-8, and an argument of the command line that was not UTF-8 gives the very
    bytes that were typed.

    :raises ValueError: an escape that is none of these; its text is one line to show to the person.
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("text that is no valid Unicode: write \\xNN for raw bytes") from None
    return _ESCAPE.sub(_typed, data)


def _typed(found: re.Match[bytes]) -> bytes:
    """Give the byte that an escape stands for."""
    code = found[1]
    if code in _TYPED:
        return _TYPED[code]
    if len(code) == 3:
        return bytes.fromhex(code[1:].decode("ascii"))
    if code == b"x":
        raise ValueError("\\x needs two hexadecimal digits, as in \\x0a")
    if not code and found.end() == len(found.string):
        raise ValueError("a backslash at the end: write \\\\ for a backslash")
    raise ValueError(
        f"unknown escape \\{escape(code)}: use \\n, \\r, \\t, \\0, \\xNN, or \\\\ for a backslash"
    )
