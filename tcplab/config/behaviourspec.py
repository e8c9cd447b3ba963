"""What is served where, as it is typed: ``NAME[,key=value…]`` and ``SPEC@ENDPOINT``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from twisted.internet.interfaces import IProtocol

from tcplab.wire.keyvalue import (
    GivenTwice,
    NotKeyValue,
    lengthProblem,
    readArguments,
    split,
    unescapeSeparators,
)


class SpecError(ValueError):
    """A text is no SPEC; the message is one line with what to type."""


@dataclass(frozen=True, slots=True)
class BehaviourSpec:
    """
    A behaviour and its settings, as typed.

    :ivar name: the behaviour's name, or the dotted name of a class or a factory.
    :ivar arguments: its settings, key and value. ``\\@``, ``\\,`` and ``\\=`` have become the
        characters they stand for; all other escapes are there still, a doubled backslash too.
    :ivar text: the whole of it, as it was typed.
    :ivar served: what the name stands for, if that was given in Python; ``None``: it was typed.
    """

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    text: str = ""
    served: object = None

    def __str__(self) -> str:
        return self.text or self.name

    @classmethod
    def of(cls, behaviour: object) -> BehaviourSpec:
        """
        Make one of a SPEC's text, or of a Protocol class, a factory or a coroutine function.

        :raises SpecError: the text is no SPEC.
        """
        if isinstance(behaviour, BehaviourSpec):
            return behaviour
        if isinstance(behaviour, str):
            return parseSpec(behaviour)
        if not isinstance(behaviour, type) and IProtocol.providedBy(behaviour):
            name = type(behaviour).__name__
            raise SpecError(f"each connection has its own {name}: give the class, not {name}()")
        if not (callable(behaviour) or hasattr(behaviour, "buildProtocol")):
            raise SpecError(
                f"{behaviour!r}: give a SPEC as text, a Protocol class, a Factory or a coroutine"
                " function"
            )
        name = getattr(behaviour, "__name__", type(behaviour).__name__)
        return cls(name, served=behaviour)


def parseSpec(text: str) -> BehaviourSpec:
    """
    Read ``NAME[,key=value…]``.

    :raises SpecError: the text is no SPEC, or has an ``@`` that is not escaped.
    """
    _checkLength(text)
    if split(text, "@")[1]:
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
    _checkLength(text)
    spec, at, endpoint = split(text, "@")
    if not at:
        raise SpecError(f"{text!r} has no @: write NAME@ENDPOINT, as in echo@tcp:8888")
    if not endpoint.strip():
        raise SpecError(f"{text!r} has no endpoint after the @: write one, as in {spec}@tcp:8888")
    return _spec(spec), endpoint


def _checkLength(text: str) -> None:
    problem = lengthProblem(text)
    if problem:
        raise SpecError(problem)


def _spec(text: str) -> BehaviourSpec:
    name, comma, rest = split(text, ",")
    if form := re.fullmatch(r"(\w+)[ :(]+(\w+=[^)]*)\)?", name + comma + rest):
        raise SpecError(f"{text!r} begins with no name: write {form[1]},{form[2]}")
    if not name or re.search(r"[\s\\=]", name):
        raise SpecError(f"{text!r} begins with no name: write NAME, or NAME,key=value")
    return BehaviourSpec(name, _arguments(text, rest) if comma else (), text)


def _arguments(text: str, rest: str) -> tuple[tuple[str, str], ...]:
    try:
        found = readArguments(rest, str.strip)
    except NotKeyValue as e:
        raise SpecError(f"{text!r}: {e} (write \\, within a value)") from None
    except GivenTwice as e:
        raise SpecError(f"{text!r} has {e.key} twice: give it once") from None
    try:
        return tuple((key, unescapeSeparators(value)) for key, value in found.items())
    except ValueError as e:
        raise SpecError(f"{text!r}: a value {e}") from None
