"""
How an option is declared: a field with its parser, its default and its help text.

An option is one line, a field of `tcplab.config.options.Settings`::

    idleTimeout: float | None = option("Seconds … [{}].", seconds(none=True), None, logged=True)

The command line, ``--help``, the reading of its words and the check of values that are given in
Python are all made from it.
"""

from __future__ import annotations

import math
import os.path
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, Literal, NoReturn, TypeVar, overload

from tcplab.config.errors import SettingsError
from tcplab.wire.escaping import unescape
from tcplab.wire.suggestion import suggest

#: What is typed for no limit. It is not 0, which means "off" to some programs and "at once" to
#: others. Where 0 could be mistaken it is refused.
NONE = "none"

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Parser(Generic[T_co]):
    """
    How an option gets its value.

    Both functions raise ``ValueError`` for what makes no sense. Its text is one line that follows
    the option's name.

    :ivar read: makes a value of the word that was typed.
    :ivar accept: returns the value for what was given in Python.
    :ivar path: the word is a path, relative to where it was written.
    """

    read: Callable[[str], T_co]
    accept: Callable[[object], T_co]
    path: bool = False


#: What is typed for an option; ``None``: it is not given. A number may stand for its word.
Words = str | float | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Option:
    """
    One option.

    :ivar name: the name of its field: ``idleTimeout``.
    :ivar flag: what is typed: ``--idle-timeout``.
    :ivar text: its help text.
    :ivar parser: makes its value; of a repeatable one, each of its values.
    :ivar default: its value when it is not given.
    :ivar letter: its short form: ``p`` for ``-p``.
    :ivar repeatable: it may be given several times; its value is a tuple.
    :ivar logged: an operator looks for its value in the log.
    """

    name: str
    flag: str
    text: str
    parser: Parser[object]
    default: object
    letter: str | None = None
    repeatable: bool = False
    logged: bool = False

    def read(self, words: str | float | Sequence[str], name: str = "") -> object:
        """
        Make its value of what was typed.

        :param words: a word, or a number; a list of words for a repeatable option.
        :param name: what the text calls the option; its flag, if empty.
        :raises SettingsError: that makes no sense; the text names the flag.
        :raises TypeError: it is no list.
        """
        try:
            if not self.repeatable:
                return self.parser.read(str(words))
            if not isinstance(words, list | tuple):
                raise TypeError(
                    f"{self.name} is {words!r}: give a list, as in {self.name}=[{words!r}]"
                )
            return tuple(map(self.parser.read, words))
        except ValueError as e:
            raise SettingsError(f"{name or self.flag} {e}") from None

    def accept(self, value: object, name: str = "") -> object:
        """
        Return its value for what was given in Python.

        :param name: what the text calls the option; its own name, if empty.
        :raises SettingsError: that makes no sense.
        """
        name = name or self.name
        try:
            if not self.repeatable:
                return self.parser.accept(value)
            if not isinstance(value, list | tuple):
                raise ValueError(f"{value!r}: give a list, as in {name}=[{value!r}]")
            return tuple(map(self.parser.accept, value))
        except ValueError as e:
            raise SettingsError(f"{name} {e}") from None


def option(
    text: str, parser: Parser[T], default: T, *, letter: str | None = None, logged: bool = False
) -> T:
    """
    Make a field of a dataclass that is an option.

    :param text: its help text; ``{}`` stands for the default.
    """
    shown = NONE if default is None else f"{default:g}" if isinstance(default, float) else default
    told = text.replace("{}", str(shown))
    metadata = {"text": told, "parser": parser, "letter": letter, "logged": logged}
    return field(default=default, metadata=metadata)


def repeatable(
    text: str, parser: Parser[T], *, letter: str | None = None, flag: str | None = None
) -> tuple[T, ...]:
    """
    Make a field of a dataclass that is an option which may be given several times.

    :param parser: makes each of its values.
    :param flag: what is typed, where that is not the field's name.
    """
    metadata = {"text": text, "parser": parser, "letter": letter, "flag": flag}
    return field(default=(), metadata={**metadata, "repeatable": True})


def optionsOf(settings: type) -> dict[str, Option]:
    """Return the options among the fields of a dataclass, by name."""
    found = {}
    for each in fields(settings):
        metadata = dict(each.metadata)
        if metadata:
            flag = metadata.pop("flag", None) or re.sub("[A-Z]", r"-\g<0>", each.name).lower()
            found[each.name] = Option(each.name, f"--{flag}", default=each.default, **metadata)
    return found


# The parsers


@dataclass(frozen=True, slots=True)
class _Number:
    """Numbers above 0, or from 0 up."""

    whole: bool
    zero: bool = False
    none: bool = False
    most: int | None = None
    reason: str = ""

    def read(self, word: str) -> Any:
        if self.none and word == NONE:
            return None
        try:
            value = int(word) if self.whole else float(word)
        except ValueError:
            value = math.nan
        if not (word.isascii() and self._makesSense(value)):
            self._refuse(word, NONE, suggest(word, [NONE]) if self.none and word else "")
        return value

    def accept(self, value: object) -> Any:
        if self.none and value is None:
            return None
        kinds = int if self.whole else int | float
        if isinstance(value, bool) or not isinstance(value, kinds) or not self._makesSense(value):
            self._refuse(repr(value), str(None))
        return value

    def _makesSense(self, value: float) -> bool:
        if not value < math.inf:
            return False
        if self.most is not None and value > self.most:
            raise ValueError(f"{value}: give {self.most} at most; {self.reason}")
        return value >= 0 if self.zero else value > 0

    def _refuse(self, shown: str, none: str, hint: str = "") -> NoReturn:
        kind, such = (
            ("a whole number", "100") if self.whole else ("a number of seconds", "2 or 0.5")
        )
        least = "from 0 up" if self.zero else "above 0"
        without = f", or {none} for no limit" if self.none else ""
        raise ValueError(f"{shown}: give {kind} {least}, as in {such}{without}{hint}")


@overload
def seconds(*, zero: bool = False, none: Literal[False] = False) -> Parser[float]: ...
@overload
def seconds(*, zero: bool = False, none: Literal[True]) -> Parser[float | None]: ...
def seconds(*, zero: bool = False, none: bool = False) -> Parser[float | None]:
    """
    Make the parser of a time in seconds.

    :param zero: 0 makes sense.
    :param none: there may be no limit: the word `NONE`, or ``None``, says so.
    """
    number = _Number(whole=False, zero=zero, none=none)
    return Parser(number.read, number.accept)


@overload
def count(
    *, none: Literal[False] = False, most: int | None = ..., reason: str = ""
) -> Parser[int]: ...
@overload
def count(*, none: Literal[True]) -> Parser[int | None]: ...
def count(*, none: bool = False, most: int | None = None, reason: str = "") -> Parser[int | None]:
    """
    Make the parser of a number of things, of which there is one at least.

    :param none: there may be no limit: the word `NONE`, or ``None``, says so.
    :param most: the most that makes sense.
    :param reason: the end of the message about more.
    """
    number = _Number(whole=True, none=none, most=most, reason=reason)
    return Parser(number.read, number.accept)


def integer(most: int, problem: str) -> Parser[int]:
    """
    Make the parser of a whole number from 0 up.

    :param problem: the message about any other.
    """
    digits = len(str(most))

    def read(word: str) -> int:
        if word.isascii() and word.isdigit() and len(word) <= digits and int(word) <= most:
            return int(word)
        raise ValueError(f"{word}: {problem}")

    def accept(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            return value
        raise ValueError(f"{value!r}: {problem}")

    return Parser(read, accept)


def oneOf(words: tuple[str, ...]) -> Parser[str]:
    """Make the parser of one of a few words."""

    def read(word: str) -> str:
        if word not in words:
            raise ValueError(f"{word}: give {', '.join(words)}")
        return word

    return plainText(read)


def plainText(read: Callable[[str], str]) -> Parser[str]:
    """
    Make the parser of a text, which is given in Python as it is typed.

    :param read: returns the value of a text.
    """

    def accept(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{value!r}: give a text")
        return read(value)

    return Parser(read, accept)


def filePath() -> Parser[str]:
    """Make the parser of the path of a file that is written; the value is absolute."""

    def read(word: str) -> str:
        if not word:
            raise ValueError("is empty: give the name of a file to write")
        return os.path.abspath(word)

    return replace(plainText(read), path=True)


def parsed(read: Callable[[str], T], kind: type[T]) -> Parser[T]:
    """
    Make the parser of a value that is given in Python as a text, or as the value itself.

    :param read: makes a value of a text.
    :param kind: the type of values.
    """

    def accept(value: object) -> T:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise ValueError(f"{value!r}: give a text or a {kind.__name__}")
        return read(value)

    return Parser(read, accept)


def escapedBytes(empty: str) -> Parser[bytes]:
    """
    Make the parser of bytes, typed with escapes.

    :param empty: the message about no bytes at all.
    """

    def accept(value: object) -> bytes:
        if not isinstance(value, bytes):
            raise ValueError(f"{value!r}: give bytes, as in b'hello'")
        if not value:
            raise ValueError(f"is empty: {empty}")
        return value

    def read(word: str) -> bytes:
        try:
            value = unescape(word)
        except ValueError as e:
            raise ValueError(f"{word}: {e}") from None
        return accept(value)

    return Parser(read, accept)
