"""Behaviours: from a SPEC, or a class that is given in Python, to the factory that serves it."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory

from tcplab import entrypoints
from tcplab.config.behaviourspec import BehaviourSpec
from tcplab.config.errors import SettingsError
from tcplab.importing import (
    ImportFailed,
    describeImportError,
    importName,
    meantName,
    requiredArguments,
)
from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue
from tcplab.protocols.factory import ConversationFactory, settingsOf
from tcplab.wire.escaping import unescape
from tcplab.wire.framing import FramingError
from tcplab.wire.names import BEHAVIOURS, FRAMINGS
from tcplab.wire.suggestion import suggest

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

# Other words for the behaviours: the hint names the behaviour.
_SYNONYMS = {
    **dict.fromkeys(("hello", "greet", "banner"), "greeting"),
    **dict.fromkeys(("mirror", "pong", "return"), "echo"),
    **dict.fromkeys(("sink", "null", "devnull"), "discard"),
    **dict.fromkeys(("characters", "generator"), "chargen"),
    **dict.fromkeys(("quote", "fortune"), "qotd"),
    **dict.fromkeys(("date", "clock", "now"), "daytime"),
    **dict.fromkeys(("id", "hostname", "name", "backend"), "whoami"),
    **dict.fromkeys(("chain", "next", "pass"), "relay"),
    **dict.fromkeys(("proxy", "tunnel", "upstream", "socat", "redirect"), "forward"),
}

# Settings that make sense above zero only: seconds to wait, bytes to hold.
_POSITIVE = frozenset({"lingerTimeout", "maxUnsent"})


class Behaviour:
    """
    What a listener serves: a Protocol class, a factory, or a class of factories.

    :ivar spec: the SPEC that names it, or that it was given with.
    :raises SettingsError: nothing has that name, or it cannot be served.
    """

    def __init__(self, spec: BehaviourSpec) -> None:
        self.spec = spec
        self._found: Any = _resolve(spec.name) if spec.served is None else _given(spec.served)
        _checkServable(spec.name, self._found)

    @property
    def speaksFirst(self) -> bool:
        """Whether ``--greeting`` applies: it sends a greeting first, and its SPEC has no other."""
        greets = _isConversation(self._found) and bool(self._found.greeting)
        return greets and "greeting" not in dict(self.spec.arguments)

    @property
    def served(self) -> Any:
        """What the SPEC names: a Protocol class, a factory, or a class of factories."""
        return self._found

    def settings(self) -> dict[str, object]:
        """Return the settings that a SPEC may have, and their defaults; ``None`` for none."""
        if _isConversation(self._found):
            known = settingsOf(self._found)
            known.pop("clock", None)  # no clock can be typed
            return known
        if isinstance(self._found, type) and IProtocolFactory.implementedBy(self._found):
            return {
                p.name: None if p.default is p.empty else p.default for p in _named(self._found)
            }
        return {}

    def factory(self, **defaults: object) -> IProtocolFactory:
        """
        Make the factory.

        :param defaults: settings for conversations; those of the SPEC take precedence.
        :raises SettingsError: a key or a value of the SPEC is wrong, or the factory cannot be made.
        """
        if _isConversation(self._found):
            own = self._values(self.settings(), hintsOf(self._found))
            return self._ofConversation({**defaults, **own})
        if IProtocolFactory.providedBy(self._found):
            self._refuseArguments("is a factory that is made already: name its class instead")
            return self._found
        if IProtocolFactory.implementedBy(self._found):
            return self._ofFactoryClass()
        self._refuseArguments("is a plain Protocol, without settings: make it a Conversation")
        factory = Factory.forProtocol(self._found)
        factory.noisy = False
        return factory

    def _ofConversation(self, settings: dict[str, object]) -> IProtocolFactory:
        try:
            return ConversationFactory(self._found, **settings)
        except FramingError as e:
            raise SettingsError(
                f"{self.spec}: its framing has no form for its greeting ({e}): change one of them"
            ) from None
        except TypeError as e:
            raise SettingsError(f"{self.spec}: {e}") from None

    def _refuseArguments(self, reason: str) -> None:
        for key, _ in self.spec.arguments:
            raise SettingsError(f"{self.spec.name} cannot be given {key}: it {reason}")

    def _ofFactoryClass(self) -> IProtocolFactory:
        named, known = _named(self._found), self.settings()
        parameters = inspect.signature(self._found).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            known = {key: None for key, _ in self.spec.arguments} | known
            if issubclass(self._found, ConversationFactory):
                known |= settingsOf(Conversation)  # the factory passes them on
        arguments = self._values(known, hintsOf(self._found.__init__))
        missing = [p.name for p in named if p.default is p.empty and p.name not in arguments]
        if missing:
            wanted = ",".join(f"{name}=…" for name in missing)
            raise SettingsError(f"{self.spec.name} needs more: write {self.spec.name},{wanted}")
        try:
            factory: IProtocolFactory = self._found(**arguments)
        except Exception as e:
            raise SettingsError(
                f"{self.spec} cannot be made: {describeImportError(e)}: mend it"
            ) from None
        _checkBuilds(self.spec.name, factory)
        return factory

    # The settings of the SPEC

    def _values(
        self, known: Mapping[str, object], hints: Mapping[str, object]
    ) -> dict[str, object]:
        values = {}
        for key, text in self.spec.arguments:
            if key not in known:
                raise SettingsError(self._unknown(key, known))
            try:
                values[key] = self._value(key, text, known[key], hints.get(key))
            except ValueError as e:
                raise SettingsError(f"{self.spec.name},{key}={text}: {e}") from None
        return values

    def _unknown(self, key: str, known: Mapping[str, object]) -> str:
        if not known:
            return f"{self.spec.name} has no settings: leave {key} out"
        return (
            f"{self.spec.name} has no setting {key}{suggest(key, known)}: it has {', '.join(known)}"
        )

    def _value(self, key: str, text: str, default: object, annotation: object) -> object:
        if key == "framing" and isinstance(default, type):
            return framingOf(text)
        kind = kindOf(annotation, default)
        if kind is None and _isConversation(self._found) and default is not None:
            raise ValueError(f"a {type(default).__name__} cannot be typed: set it in a subclass")
        value = valueOf(text, kind)
        if key in _POSITIVE and isinstance(value, int | float) and not value > 0:
            raise ValueError("give a number above 0")
        return value


def _named(factory: type) -> list[inspect.Parameter]:
    # The parameters of a factory's constructor that can be given by name.
    parameters = inspect.signature(factory).parameters.values()
    return [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _isConversation(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Conversation)


def _resolve(name: str) -> object:
    if name in BEHAVIOURS:
        module, _, className = BEHAVIOURS[name].rpartition(".")
        found: object = getattr(import_module(module), className)
        return found
    registered = entrypoints.registered(entrypoints.BEHAVIOURS)
    try:
        if name in registered:
            return registered[name].load()
        if "." in name:
            return importName(name)
    except ImportFailed as e:
        raise SettingsError(str(e)) from None
    known = {**BEHAVIOURS, **registered}
    meant = meantName(name)
    if meant:
        raise SettingsError(f"there is no behaviour {name}: write {meant} for the class")
    raise SettingsError(
        f"there is no behaviour {name}{suggest(name, known, _SYNONYMS)}: use one of"
        f" {', '.join(known)}, or package.module.Name for a class of yours"
    )


# An object that is given in Python. A coroutine function is the conversation of a Dialogue.
def _given(served: object) -> object:
    if not inspect.iscoroutinefunction(served):
        return served
    try:
        inspect.signature(served).bind(None)
    except TypeError:
        raise SettingsError(
            f"{served.__name__} takes one argument, its conversation:"
            f" write async def {served.__name__}(conversation)"
        ) from None
    return type(served.__name__, (Dialogue,), {"converse": served, "__doc__": served.__doc__})


def _checkServable(name: str, found: object) -> None:
    if IProtocolFactory.providedBy(found):
        _checkBuilds(name, found)
        return
    if not isinstance(found, type):
        raise SettingsError(f"{name} is {_described(found)}: name a Protocol class or a Factory")
    if IProtocolFactory.implementedBy(found):
        if not any("__init__" in vars(each) for each in found.__mro__[:-1]):
            _checkBuilds(name, found)
        return
    if not IProtocol.implementedBy(found):
        raise SettingsError(
            f"{name} is a class, but neither a Protocol nor a Factory: derive it from"
            " tcplab.protocols.Conversation or from twisted.internet.protocol.Protocol"
        )
    if needed := requiredArguments(found):
        raise SettingsError(
            f"{name} cannot be made without {', '.join(needed)}: give it defaults, or name a"
            " Factory that builds it"
        )


def _checkBuilds(name: str, found: Any) -> None:
    # Twisted's Factory builds what its attribute names; without one each connection would fail.
    kind = found if isinstance(found, type) else type(found)
    if not issubclass(kind, Factory) or kind.buildProtocol is not Factory.buildProtocol:
        return
    if found.protocol is None:
        raise SettingsError(
            f"{name} has no protocol to build: give the Protocol class itself,"
            " or Factory.forProtocol(Shout)"
        )


def _described(found: object) -> str:
    if inspect.ismodule(found):
        return "a module"
    if IProtocol.providedBy(found):
        return "one Protocol, not a class"
    if callable(found):
        return "a function"
    return f"a {type(found).__name__}"
