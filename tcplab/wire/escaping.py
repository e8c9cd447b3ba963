"""Escapes: bytes as one printable line and back, for logs and for typed text."""

from __future__ import annotations

import re

__all__ = ["escape", "printable", "unescape"]

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
    Return ``data`` in printable ASCII (0x20 to 0x7e), safe in a log and on a terminal.

    Newline, return and tab become ``\n``, ``\r`` and ``\t``, a backslash is doubled, any other byte
    is ``\xNN``; `unescape` gives the bytes back.

    :param limit: the bytes of ``data`` that are shown; ``...`` stands for the rest. The default is
        about two lines of a terminal.
    """
    text = data[:limit].decode("latin-1").translate(_ESCAPED)
    return text + "..." if len(data) > limit else text


def unescape(text: str) -> bytes:
    r"""
    Return the bytes of typed text: ``\n``, ``\r``, ``\t``, ``\0``, ``\\`` and ``\xNN`` are escapes.

    All other text is UTF-8. An argument of the command line that is not UTF-8 gives the bytes that
    were typed.

    :raises ValueError: for any other escape; the text is one line for the user.
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("text that is no valid Unicode: write \\xNN for raw bytes") from None
    return _ESCAPE.sub(_typed, data)


def _typed(found: re.Match[bytes]) -> bytes:
    """Return the byte that an escape stands for."""
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


_UNPRINTABLE = re.compile("[^ -~]")


def printable(text: str) -> str:
    r"""
    Return a text in printable ASCII (0x20 to 0x7e): any other character is ``\n``, ``\xNN``, ….

    Unlike `escape` it leaves a backslash as it is: parts of the text may be escaped already.
    """
    return _UNPRINTABLE.sub(_escapedCharacter, text)


def _escapedCharacter(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
