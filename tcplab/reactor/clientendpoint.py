"""Client endpoint strings: parsed, checked, and compared with our own addresses."""

from __future__ import annotations

import os
import re
import socket
from functools import lru_cache
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    _parseTrustRootPath,
    _WrappingProtocol,
    clientFromString,
)
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IHostnameResolver,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import Certificate, KeyPair, PrivateCertificate, optionsForClientTLS
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import alsoProvides, implementer

from tcplab.reactor.clock import withTLSClock
from tcplab.reactor.pemfiles import loadIdentity
from tcplab.reactor.stack import removeEndpointWrapper
from tcplab.reactor.tls import HalfClosingTLS
from tcplab.wire.endpointstring import argument, explained, meant, split, withAbstractPath

#: Seconds. To connect takes one round trip, or a few with TLS. A lost SYN is sent again after 1 and
#: 3 seconds.
CONNECT_TIMEOUT = 5.0

#: Seconds: a day, which in practice means no timeout.
_LONGEST_TIMEOUT = 86400

_WILDCARDS = ("0.0.0.0", "::")


@lru_cache(64)
def clientEndpoint(where: str, reactor: object = None) -> IStreamClientEndpoint:
    """
    Parse the string of a client endpoint.

    The search for the parser among all plugins takes longer than to connect: it is done once.

    :param reactor: ``None`` only to check the string.
    :raises ValueError: the string is no client endpoint; the text is one line.
    """
    kind, _, rest = where.partition(":")
    better = meant(where)
    if not rest or not re.fullmatch(r"\w+", kind):
        advice = better or "one, as in tcp:localhost:50544"
        raise ValueError(f"{where!r} is no endpoint: write {advice}")
    try:
        return checkedEndpoint(_NullReactor() if reactor is None else reactor, where)
    except Exception as problem:  # of any parser
        if "Unknown endpoint type" in str(problem):
            advice = f"did you mean {better}?" if better else "use tcp, tls or unix"
            raise ValueError(f"there is no kind of endpoint {kind!r}: {advice}") from None
        advice = f"write {better}" if better else explained(problem)
        raise ValueError(f"{where!r} is no endpoint: {advice}") from None


def checkedEndpoint(reactor: object, where: str) -> IStreamClientEndpoint:
    """
    Parse the string of a client endpoint, and check what Twisted only checks to connect.

    :raises Exception: of any parser; `tcplab.wire.endpointstring.explained` has words for it.
    """
    if "://" in where and (better := meant(where)):  # valid for Twisted: a host with slashes
        raise ValueError(f"write {better}")
    _checkValues(where)
    return clientFromText(reactor, where)


def clientFromText(reactor: object, where: str) -> IStreamClientEndpoint:
    """
    Parse the string of a client endpoint as Twisted does; TLS has the reactor as its clock.

    :raises Exception: of any parser.
    """
    reactor = withTLSClock(reactor)
    kind, words, options = split(where)
    if kind == "tls":
        return _tls(reactor, *words, **options)
    endpoint: IStreamClientEndpoint = clientFromString(reactor, withAbstractPath(where))
    return endpoint


def _tls(
    reactor: Any,
    host: str,
    port: str,
    timeout: str = "30",
    bindAddress: str | None = None,
    certificate: str | None = None,
    privateKey: str | None = None,
    trustRoots: str | None = None,
    endpoint: str | None = None,
) -> IStreamClientEndpoint:
    # As Twisted's own parser, which has no argument for the clock.
    creator = optionsForClientTLS(
        host,
        trustRoot=_parseTrustRootPath(trustRoots),
        clientCertificate=_clientCertificate(certificate, privateKey),
    )
    number, seconds = int(port), int(timeout)
    if endpoint is not None:
        return _TLSEndpoint(creator, clientFromText(reactor, endpoint), reactor)
    address = None if bindAddress is None else (bindAddress, 0)
    plain = HostnameEndpoint(reactor, host, number, seconds, address)
    return _TLSEndpoint(creator, plain, reactor)


def _clientCertificate(certificate: str | None, key: str | None) -> PrivateCertificate | None:
    if certificate is None:
        return None
    identity = loadIdentity(certificate, key or certificate)
    shown: PrivateCertificate = PrivateCertificate.fromCertificateAndKeyPair(
        Certificate(identity.certificate), KeyPair(identity.key)
    )
    return shown


@implementer(IStreamClientEndpoint)
class _TLSEndpoint:
    # As that of Twisted's wrapClientTLS, which takes a clock only since 26.4.

    def __init__(
        self,
        creator: IOpenSSLClientConnectionCreator,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
    ) -> None:
        self._creator = creator
        self._endpoint = endpoint
        self._clock = clock

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        secured = TLSMemoryBIOFactory(self._creator, True, factory, self._clock)
        return self._endpoint.connect(secured).addCallback(_aboveTLS)


def _aboveTLS(tls: Any) -> IProtocol:
    above: IProtocol = tls.wrappedProtocol
    return above


def _checkValues(where: str) -> None:
    # A ValueError names the value, and what is valid.
    kind, words, options = split(where)
    if kind not in ("tcp", "ssl", "tls", "unix"):
        return
    _check("timeout", options.get("timeout", "30"), 1, _LONGEST_TIMEOUT)
    if kind != "unix":
        name, port = _hostAndPort(words, options)
        _check("port", port or "1", 1, 65535)
        try:
            name.encode("idna")
        except UnicodeError:  # Twisted raises it in a thread, and reports nothing
            raise ValueError(f"{name!r} cannot be the name of a host") from None


def _check(name: str, word: str, least: int, most: int) -> None:
    if not re.fullmatch("[0-9]{1,9}", word) or not least <= int(word) <= most:
        raise ValueError(f"{name} is a whole number from {least} to {most}, and not {word!r}")


def _hostAndPort(words: list[str], options: dict[str, str]) -> tuple[str, str]:
    rest = words if "host" in options else words[1:]
    return argument("host", words, options), argument("port", rest, options)


@implementer(IReactorPluggableNameResolver)
class _NullReactor:
    """The reactor of an endpoint that is never used."""

    nameResolver: Any = None

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Install nothing."""
        return resolver


def pointsTo(where: str, host: IAddress) -> bool:
    """
    Tell whether an endpoint string points to a listening address of this machine.

    **Limit:** a name that resolves differently later, or another address that is forwarded to this
    machine, is not detected.

    :param where: the string of a client endpoint.
    :param host: the address of a listening port.
    """
    kind, words, options = split(where)
    if isinstance(host, UNIXAddress):
        path = _path(argument("path", words, options))
        return kind == "unix" and path == _path(os.fsdecode(host.name or b""))
    name, port = _hostAndPort(words, options)
    if kind == "unix" or not isinstance(host, IPv4Address | IPv6Address) or port != str(host.port):
        return False
    return any(_matches(address, host.host) for address in _addresses(name, host.port))


def _path(path: str) -> str:
    if path.startswith(("@", "\0")):
        return "@" + path[1:]  # abstract: it is no file
    return os.path.realpath(path) if path else ""


def _addresses(name: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]).removeprefix("::ffff:") for *_, address in found]


def _matches(address: str, host: str) -> bool:
    if host not in _WILDCARDS:
        return address == host or address in _WILDCARDS
    return (":" not in address or host == "::") and _isLocal(address)


def _isLocal(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def halfCloseClient(transport: object, protocol: object) -> None:
    """
    Make Twisted's own TLS, between a client endpoint and its protocol, able to half-close.

    The protocol's ``makeConnection`` calls it, before the handshake. Any other transport is left as
    it is.
    """
    if type(transport) is not BufferingTLSTransport:
        return
    tls: Any = transport
    tls.__class__ = HalfClosingTLS
    tls.keepTime(tls.transport)
    alsoProvides(tls, IHalfCloseableProtocol)
    # The endpoint's own wrapper is below the TLS of tls:, and above that of ssl:.
    removeEndpointWrapper(tls.transport, tls)
    above = tls.wrappedProtocol
    if isinstance(above, _WrappingProtocol) and above._wrappedProtocol is protocol:
        tls.wrappedProtocol = protocol
