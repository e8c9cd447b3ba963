r"""
The grammar ``NAME[,key=value…]`` of behaviours and faults, and its escapes.

Behind a backslash a character has no special meaning: ``\,`` ``\@`` and ``\=`` are the plain
characters. Other escapes are left to the reader of the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

# One character, or a backslash and what it escapes; a backslash at the end escapes nothing.
_CHARACTER = re.compile(r"\\?.", re.DOTALL)
# A doubled backslash stays: what reads the value later knows what a backslash means there.
_OWN_ESCAPES = {"\\@": "@", "\\,": ",", "\\=": "="}


#: Characters of a SPEC or a fault at most; a greeting may be long, and no more is typed.
MAX_LENGTH = 65536


class NotKeyValue(ValueError):
    """An argument is not ``key=value``; the text shows how to write it."""


class GivenTwice(ValueError):
    """
    A key is given twice.

    :ivar key: that key.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is given twice: give it once")
        self.key = key


def lengthProblem(text: str) -> str:
    """Return what is wrong with the length of a text; empty: nothing."""
    if len(text) <= MAX_LENGTH:
        return ""
    return f"{text[:40]!r}... has {len(text)} characters: write at most {MAX_LENGTH}"


def split(text: str, separator: str) -> tuple[str, str, str]:
    """Split as ``str.partition`` does, at the first separator that is not escaped."""
    for found in _separators(separator).finditer(text):
        if found[0] == separator:
            return text[: found.start()], separator, text[found.end() :]
    return text, "", ""


def splitAll(text: str, separator: str) -> Iterator[str]:
    """Split as ``str.split`` does, at the separators that are not escaped."""
    start = 0
    for found in _separators(separator).finditer(text):
        if found[0] == separator:
            yield text[start : found.start()]
            start = found.end()
    yield text[start:]


@cache
def _separators(separator: str) -> re.Pattern[str]:
    return re.compile(rf"\\.|{re.escape(separator)}", re.DOTALL)


def readArguments(text: str, readKey: Callable[[str], str]) -> dict[str, str]:
    """
    Read ``key=value,key=value…``, in this order.

    :param readKey: makes a key of what is typed before the ``=``; empty if it is none.
    :return: the values with their escapes, by key.
    :raises NotKeyValue: one of them is not ``key=value``.
    :raises GivenTwice: two of them have the same key.
    """
    found: dict[str, str] = {}
    for argument in splitAll(text, ","):
        typed, equals, value = split(argument, "=")
        key = readKey(typed)
        if not equals or not key:
            raise NotKeyValue(f"{argument!r} should read {key or 'key'}=value")
        if key in found:
            raise GivenTwice(key)
        found[key] = value
    return found


def unescapeSeparators(value: str) -> str:
    r"""
    Replace ``\,`` ``\@`` and ``\=``; other escapes stay.

    :raises ValueError: the value ends in a single backslash.
    """
    characters = _CHARACTER.findall(value)
    if characters and characters[-1] == "\\":
        raise ValueError("ends in a backslash: write \\\\ for one")
    return "".join(_OWN_ESCAPES.get(character, character) for character in characters)
