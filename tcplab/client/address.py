"""The address of a server: text, and the client endpoint for it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from twisted.internet.abstract import isIPv6Address
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from tcplab.reactor.clientendpoint import checkedEndpoint
from tcplab.reactor.clock import withTLSClock
from tcplab.reactor.interfaces import IReactor
from tcplab.wire.endpointstring import SERVICES, argument, explained, meant, split
from tcplab.wire.escaping import escape

PORT = 50544
"""The port of the lab, and of the textbook's server before it."""

# Seconds between the attempts of a name with several addresses. A refused attempt does not start
# the next, so this is what ``localhost`` costs when only its second address is served. RFC 8305
# (section 8) asks for at least 10 ms, enough for loopback, and recommends at least 100 ms.
_LOOPBACK_DELAY = 0.01
_ATTEMPT_DELAY = 0.1

# The bytes that fit in Linux's sockaddr_un before the final zero; Twisted fails with more.
_LONGEST_PATH = 107

_STRINGS = ("tcp:", "ssl:", "tls:", "unix:")
_FORMS = "write HOST, HOST:PORT, [IPv6]:PORT, unix:PATH or a client endpoint string"

# A host and a port that are divided in another way, or have a user before them.
_HOST_AND_PORT = re.compile(
    r"(?:[^@/]*@)?"
    r"(?:\[?([0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]?|([\w.-]*))[:, ]?([0-9]{1,5})?"
)


class AddressError(ValueError):
    """The text is no address; the error's text is one line for the user."""


@dataclass(frozen=True)
class Address:
    """
    A server's address.

    :ivar label: the address as shown in messages.
    :ivar host: the name or IP address that a certificate must be for, if there is one.
    :ivar port: the TCP port; ``None``: ``description`` has it.
    :ivar description: a client endpoint string; empty for a host and port.
    """

    label: str
    host: str | None = None
    port: int | None = None
    description: str = ""

    @property
    def secure(self) -> bool:
        """Whether the address itself asks for TLS."""
        return self.description.startswith(("ssl:", "tls:"))

    def endpoint(self, reactor: IReactor, timeout: float) -> IStreamClientEndpoint:
        """
        Return the endpoint.

        :param timeout: seconds for each attempt; an endpoint string may have its own.
        :raises AddressError: the endpoint string is not valid.
        """
        if self.host is not None and self.port is not None:
            delay = _LOOPBACK_DELAY if self.host == "localhost" else _ATTEMPT_DELAY
            return HostnameEndpoint(
                withTLSClock(reactor), self.host, self.port, timeout=timeout, attemptDelay=delay
            )
        try:
            return checkedEndpoint(reactor, self.description)
        except Exception as problem:  # TypeError, ValueError, KeyError, OSError … of any parser
            better = meant(self.description)
            advice = f"write {better}" if better else f"{_FORMS} ({explained(problem)})"
            raise AddressError(f"{self.label!r} is no address: {advice}") from problem


def parse(text: str) -> Address:
    """
    Parse an address; the default port is `PORT`.

    :raises AddressError: the text has none of the known forms.
    """
    if text.startswith("["):
        return _parseIPv6(text)
    _checkUnbracketed(text)
    if isIPv6Address(text):
        return Address(f"[{text}]:{PORT}", text, PORT)
    if "://" in text:
        return _parseURL(text)
    if text.startswith(_STRINGS):
        return _parseEndpointString(text)
    host, colon, port = text.partition(":")
    if port in SERVICES:
        raise AddressError(f"{text!r} is no address: write {host}:{SERVICES[port]}")
    if not host or re.search(r"[\s/@,]", host) or text.endswith(":"):
        raise AddressError(f"{text!r} is no address: {_advice(text)}")
    if colon and not port.isdecimal():
        return _parseEndpointString(text)
    number = _port(text, port)
    return Address(_label(f"{host}:{number}"), host, number)


def _advice(text: str) -> str:
    """Return what to write instead."""
    if "/" in text:
        return f"for a Unix socket write unix:{_label(text)}"
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None or not found[0]:
        return _FORMS
    host = f"[{found[1]}]" if found[1] else found[2] or "localhost"
    return f"write {host}" + (f":{found[3]}" if found[3] else "")


def _checkUnbracketed(text: str) -> None:
    """Refuse an IPv6 address with a port, or with what looks like one: ``::1:80``."""
    host, _, port = text.rpartition(":")
    if not isIPv6Address(host) or not re.fullmatch("[0-9]{1,5}", port):
        return
    if "%" in host or not isIPv6Address(text):
        raise AddressError(f"{text!r} is no address: write [{host}]:{port}")
    if len(port) > 1:
        raise AddressError(f"{text!r} has two meanings: write [{host}]:{port}, or [{text}]")


def _parseURL(text: str) -> Address:
    """Parse ``tcp://HOST:PORT``; refuse other schemes, with the form that works."""
    scheme, _, rest = text.partition("://")
    place = re.split("[/?#]", rest, maxsplit=1)[0]
    if scheme in ("tcp", "telnet") and rest.rstrip("/") == place:
        return parse(place)
    if scheme == "unix":
        raise AddressError(f"{text!r} is no address: write unix:{rest}")
    port = "" if re.search(":[0-9]+$", place) else f":{SERVICES.get(scheme, 'PORT')}"
    tls = " --tls" if scheme in ("tls", "ssl", "https", "wss") else ""
    raise AddressError(f"{text!r} is no address: write {_label(place) or 'HOST'}{port}{tls}")


def _parseIPv6(text: str) -> Address:
    """Parse ``[IPv6]`` or ``[IPv6]:PORT``."""
    found = re.fullmatch(r"\[([^]]*)\](?::([0-9]+))?", text)
    if found is None or not isIPv6Address(found[1]):
        raise AddressError(f"{text!r} is no [IPv6]:PORT: {_advice(text)}")
    number = _port(text, found[2] or "")
    return Address(f"[{found[1]}]:{number}", found[1], number)


def _parseEndpointString(text: str) -> Address:
    """Parse a client endpoint string; ``tcp:`` may leave out the port."""
    kind, words, options = split(text)
    if kind == "unix":
        path = argument("path", words, options)
        if not 0 < len(os.fsencode(path)) <= _LONGEST_PATH:
            raise AddressError(
                f"{text!r}: the path of a Unix socket has 1 to {_LONGEST_PATH} bytes"
            )
    if kind != "tcp":
        return Address(_label(text), description=text)
    host = argument("host", words, options)
    if host and "port" not in options and len(words) < 2 - ("host" in options):
        return Address(_label(f"{text}:{PORT}"), host, None, f"{text}:port={PORT}")
    return Address(_label(text), host or None, None, text)


def _port(text: str, digits: str) -> int:
    """Parse a port; none is the lab's."""
    number = int(digits) if digits else PORT
    if not 0 < number < 65536:
        raise AddressError(f"{text!r}: a port is a number from 1 to 65535")
    return number


def _label(text: str) -> str:
    """Return a label that fits in a line."""
    return text if text.isprintable() else escape(text.encode("utf-8", "surrogateescape"))
