"""What one listener serves, and where; and the options of which the listeners are made."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from tcplab.config.behaviourspec import BehaviourSpec, parseServe, parseSpec
from tcplab.config.checks import Named
from tcplab.config.errors import SettingsError
from tcplab.config.optionparsers import Parser, integer, option, parsed, plainText, repeatable

#: The recipe's own port. It lies in the range that the kernel hands out to clients.
DEFAULT_PORT = "50544"
#: The address of --port without --interface: only programs on this machine can connect.
DEFAULT_INTERFACE = "127.0.0.1"
DEFAULT_BEHAVIOUR = "lab"
_DEFAULT_SPEC = BehaviourSpec(DEFAULT_BEHAVIOUR, (), DEFAULT_BEHAVIOUR)
#: Connections that may wait to be accepted on --port: a burst of 5,000 at once, and room. A larger
#: burst refuses no client. The kernel drops some SYNs, which are sent again a second later or more.
#: The kernel cuts the number to net.core.somaxconn, 4096 since Linux 5.4.
BACKLOG = 8192


@dataclass(frozen=True, slots=True, init=False)
class ListenerSettings:
    """
    What one listener serves, and where.

    >>> listener = ListenerSettings("shouts", Shout, "tcp:8888:interface=127.0.0.1")
    >>> lab = Lab(listeners=[listener])

    :ivar name: what it is called in the log and in the port file; no two have the same.
    :ivar spec: what it serves. It may be given as a SPEC's text, a Protocol class, a factory or a
        coroutine function.
    :ivar endpoint: where: a Twisted server endpoint string.
    :ivar option: what messages about it begin with: the option and its value; empty for ``--port``.
    :ivar portOption: what messages call the option that chose the port; empty: none did.
    :raises SettingsError: a value makes no sense.
    """

    name: str
    spec: BehaviourSpec
    endpoint: str
    option: str
    portOption: str = field(compare=False, repr=False)

    def __init__(
        self, name: str, spec: object, endpoint: str, option: str = "", portOption: str = ""
    ) -> None:
        if not (isinstance(name, str) and re.fullmatch(r"\S+", name)):
            raise SettingsError(f"name {name!r}: give a word, as in 'echo'")
        if not (isinstance(endpoint, str) and endpoint.strip()):
            raise SettingsError(f"endpoint {endpoint!r}: give a text, as in 'tcp:8888'")
        try:
            values = name, BehaviourSpec.of(spec), endpoint, option, portOption
        except ValueError as e:
            raise SettingsError(f"spec {e}") from None
        for slot, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, slot, value)


def _interface(word: str) -> str:
    try:
        return _addressOf(word)
    except ValueError:
        advice = (
            "give an address of this machine: 127.0.0.1 or ::1 (only this machine can connect),"
            " 0.0.0.0 or :: (other machines can too)"
        )
    host, _, port = word.rpartition(":")
    with suppress(ValueError):
        if port.isdecimal():
            advice = f"write --interface {_addressOf(host)} --port {port}"
    raise ValueError(f"{word}: {advice}")


def _addressOf(interface: str) -> str:
    bare = re.sub(r"^\[(.*:.*)\]$", r"\1", interface)
    return str(ip_address(DEFAULT_INTERFACE if bare == "localhost" else bare))


def _served(words: str) -> ListenerSettings:
    spec, endpoint = parseServe(words)
    return ListenerSettings(spec.name, spec, endpoint, words)


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """
    The options about what is served where; they become the listeners of `Settings`.

    :ivar port: the number of a TCP port; 0: the system chooses.
    :ivar interface: the address that the port has.
    :ivar behaviour: what is served on it.
    :ivar serve: other listeners; without a port, they replace it.
    """

    port: int | None = option(
        f"Serve on this TCP port [{DEFAULT_PORT}]; 0 lets the system choose.",
        integer(65535, "a port is a number from 0 to 65535 (0 lets the system choose)"),
        None,
        letter="p",
    )
    interface: str | None = option(
        f"The address of --port [{DEFAULT_INTERFACE}]; 0.0.0.0 or :: is open to other machines.",
        plainText(_interface),
        None,
        letter="i",
    )
    behaviour: BehaviourSpec | None = option(
        f"The behaviour that --port serves, a SPEC [{DEFAULT_BEHAVIOUR}].",
        Parser(parseSpec, BehaviourSpec.of),
        None,
        letter="b",
    )
    serve: tuple[ListenerSettings, ...] = repeatable(
        "Serve SPEC@ENDPOINT, on any Twisted endpoint, as in echo@tcp:8888; repeatable.",
        parsed(_served, ListenerSettings),
        letter="s",
    )

    def listeners(self, named: Named) -> tuple[ListenerSettings, ...]:
        """
        Make the listeners.

        A name that several have becomes ``echo``, ``echo-2``, ``echo-3``.

        :param named: what messages call the options.
        :raises SettingsError: a value belongs to the port, which is not served.
        """
        serve = named["serve"]
        if self.port is None and self.serve:
            self._refuse(named, "behaviour", f"{serve} names its own behaviour before the @")
            self._refuse(named, "interface", f"{serve} names its own address after the @")
            found = []
        else:
            found = [self._ofPort(named["port"])]
        for each in self.serve:
            found.append(replace(each, option=f"{serve} {each.option or each.name}"))
        count: dict[str, int] = {}
        for at, each in enumerate(found):
            count[each.name] = number = count.get(each.name, 0) + 1
            if number > 1:
                found[at] = replace(each, name=f"{each.name}-{number}")
        return tuple(found)

    def _refuse(self, named: Named, name: str, reason: str) -> None:
        if (value := getattr(self, name)) is not None:
            own, port, serve = named[name], named["port"], named["serve"]
            raise SettingsError(
                f"{own} {value} belongs to {port}, and {serve} has replaced the default port:"
                f" {reason}; give {port} {DEFAULT_PORT} too, or leave {own} out"
            )

    def _ofPort(self, option: str) -> ListenerSettings:
        spec = _DEFAULT_SPEC if self.behaviour is None else self.behaviour
        address = _addressOf(self.interface or DEFAULT_INTERFACE)
        port = DEFAULT_PORT if self.port is None else self.port
        kind = "tcp6" if ":" in address else "tcp"
        quoted = address.replace(":", "\\:")
        return ListenerSettings(
            spec.name,
            spec,
            f"{kind}:{port}:interface={quoted}:backlog={BACKLOG}",
            portOption=option,
        )
