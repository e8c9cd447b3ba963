r"""
The grammar ``NAME[,key=value…]`` of behaviours and faults, and its escapes.

A backslash takes the meaning from the character behind it: ``\,`` ``\@`` and ``\=`` stand for the
plain character. Other escapes belong to the reader of the value, and stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# One character, or a backslash and what it escapes; a lone backslash at the end stands alone.
_CHARACTER = re.compile(r"\\?.", re.DOTALL)
# A doubled backslash stays: what reads the value later knows what a backslash means there.
_OWN_ESCAPES = {"\\@": "@", "\\,": ",", "\\=": "="}


class NotKeyValue(ValueError):
    """An argument is not ``key=value``; the text says how it should read."""


class GivenTwice(ValueError):
    """
    A key is given twice.

    :ivar key: that key.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} stands there twice: give it once")
        self.key = key


def split(text: str, separator: str) -> tuple[str, str, str]:
    """Split as ``str.partition`` does, at the first separator that is not escaped."""
    end = 0
    for character in _CHARACTER.findall(text):
        if character == separator:
            return text[:end], separator, text[end + 1 :]
        end += len(character)
    return text, "", ""


def readArguments(text: str, readKey: Callable[[str], str]) -> dict[str, str]:
    """
    Read ``key=value,key=value…``, in this order.

    :param readKey: makes a key of what is typed before the ``=``; empty if it is none.
    :return: the values with their escapes, by key.
    :raises NotKeyValue: one of them is not ``key=value``.
    :raises GivenTwice: two of them have the same key.
    """
    found: dict[str, str] = {}
    comma, rest = ",", text
    while comma:
        argument, comma, rest = split(rest, ",")
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
