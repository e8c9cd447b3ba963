"""Values of a behaviour's settings: from the typed text, by the type of the setting."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable

from tcplab.config.errors import suggest
from tcplab.wire.escaping import unescape
from tcplab.wire.names import FRAMINGS

_YES = frozenset({"yes", "true", "on", "1"})
_NO = frozenset({"no", "false", "off", "0"})


def valueOf(text: str, kind: type | None) -> object:
    """
    Convert a typed text.

    :param text: a value of `BehaviourSpec`, in which a backslash is still doubled.
    :param kind: ``bool``, ``int``, ``float``, ``bytes`` or ``str``.
    :raises ValueError: the text is no such value; the message is one line.
    """
    return _CONVERSIONS[kind or str](text)


def framingOf(text: str) -> type:
    """
    Find a framing by its name on the command line.

    :raises ValueError: there is no such framing; the message is one line.
    """
    if text not in FRAMINGS:
        raise ValueError(
            f"there is no framing {text}{suggest(text, FRAMINGS)}: use {', '.join(FRAMINGS)}"
        )
    return FRAMINGS[text]


def kindOf(annotation: object, default: object) -> type | None:
    """
    Find the type of a setting: that of its annotation, else that of its default.

    :param annotation: a type, or ``type | None``, or ``None`` for none.
    :param default: its default, or ``None`` for none.
    :return: a type that `valueOf` converts to; ``None`` if neither is one.
    """
    for each in _alternatives(annotation):
        if isinstance(each, type) and each in _CONVERSIONS:
            return each
    return next((kind for kind in _CONVERSIONS if type(default) is kind), None)


def hintsOf(owner: object) -> dict[str, object]:
    """Return the annotations of a class or a function; none at all if one cannot be resolved."""
    try:
        return typing.get_type_hints(owner)
    except Exception:
        return {}


def _alternatives(annotation: object) -> tuple[object, ...]:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return typing.get_args(annotation)
    return (annotation,)


def _text(text: str) -> str:
    return text.replace("\\\\", "\\")


def _bool(text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ValueError(f"{text!r} is neither yes nor no")
    return text.lower() in _YES


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None


def _float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no number")
    return value


_CONVERSIONS: dict[type, Callable[[str], object]] = {
    bool: _bool,
    int: _int,
    float: _float,
    bytes: unescape,
    str: _text,
}
