"""What people type to say what is served where: ``NAME[,key=value…]`` and ``SPEC@ENDPOINT``."""

from __future__ import annotations

import re
from dataclasses import dataclass

# One character, or a backslash and what it escapes; a lone backslash at the end stands alone.
_CHARACTER = re.compile(r"\\?.", re.DOTALL)
# A doubled backslash stays: what reads the value later knows what a backslash means there.
_OWN_ESCAPES = {"\\@": "@", "\\,": ",", "\\=": "="}


class SpecError(ValueError):
    """What was typed is no SPEC; the text is one line that says what to type."""


@dataclass(frozen=True, slots=True)
class BehaviourSpec:
    """
    A behaviour and its settings, as typed.

    :ivar name: the behaviour's name, or the dotted name of a class or a factory.
    :ivar arguments: its settings, key and value. ``\\@``, ``\\,`` and ``\\=`` have become the
        characters they stand for; all other escapes are there still, a doubled backslash too.
    :ivar text: the whole of it, as it was typed.
    """

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    text: str = ""

    def __str__(self) -> str:
        return self.text or self.name


def parseSpec(text: str) -> BehaviourSpec:
    """
    Read ``NAME[,key=value…]``.

    :raises SpecError: it is none, or there is an ``@`` that is not escaped.
    """
    if _split(text, "@")[1]:
        raise SpecError(
            f"{text!r} has an @: write \\@ within a value; to name an endpoint use --serve"
        )
    return _spec(text)


def parseServe(text: str) -> tuple[BehaviourSpec, str]:
    """
    Read ``SPEC@ENDPOINT``; the first ``@`` that is not escaped divides the two.

    :return: the spec, and the endpoint string as it was typed.
    :raises SpecError: one of the two is missing or wrong.
    """
    spec, at, endpoint = _split(text, "@")
    if not at:
        raise SpecError(f"{text!r} has no @: write NAME@ENDPOINT, as in echo@tcp:8888")
    if not endpoint.strip():
        raise SpecError(f"{text!r} has no endpoint after the @: write one, as in {spec}@tcp:8888")
    return _spec(spec), endpoint


def _spec(text: str) -> BehaviourSpec:
    name, comma, rest = _split(text, ",")
    if not name or re.search(r"[\s\\=]", name):
        raise SpecError(f"{text!r} begins with no name: write NAME, or NAME,key=value")
    arguments: dict[str, str] = {}
    while comma:
        argument, comma, rest = _split(rest, ",")
        key, value = _argument(text, argument)
        if key in arguments:
            raise SpecError(f"{text!r} has {key} twice: give it once")
        arguments[key] = value
    return BehaviourSpec(name, tuple(arguments.items()), text)


def _argument(text: str, argument: str) -> tuple[str, str]:
    key, equals, value = _split(argument, "=")
    key = key.strip()
    if not equals or not key:
        wanted = f"{key or 'key'}=value"
        raise SpecError(f"{text!r}: {argument!r} should read {wanted} (write \\, within a value)")
    return key, _unescaped(text, value)


def _unescaped(text: str, value: str) -> str:
    characters = _CHARACTER.findall(value)
    if characters and characters[-1] == "\\":
        raise SpecError(f"{text!r}: a value ends in a backslash: write \\\\ for one")
    return "".join(_OWN_ESCAPES.get(character, character) for character in characters)


def _split(text: str, separator: str) -> tuple[str, str, str]:
    # As str.partition, at the first separator that has no backslash before it.
    end = 0
    for character in _CHARACTER.findall(text):
        if character == separator:
            return text[:end], separator, text[end + 1 :]
        end += len(character)
    return text, "", ""
