"""Endpoints from endpoint strings, errors as one line, addresses as text."""

from __future__ import annotations

import errno
import os
import re
from ipaddress import ip_address
from typing import Any, NamedTuple, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    quoteStringArgument,
    serverFromString,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IReactorTime,
    IStreamServerEndpoint,
)

from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import ListenerSettings
from tcplab.listener.listener import WrappingEndpoint
from tcplab.listener.machineaddresses import machineAddresses
from tcplab.reactor.clock import withTLSClock
from tcplab.reactor.interfaces import IReactor
from tcplab.reactor.pemfiles import Identity, loadIdentity
from tcplab.server.certificates import (
    CertificateDirectory,
    CertificatesError,
    hardenTLS,
    loadClientCAs,
)
from tcplab.server.inheritedsockets import AdoptingReactor
from tcplab.server.unixpath import isSocket
from tcplab.wire.endpointstring import (
    argument,
    explained,
    meant,
    split,
    splitWrappers,
    unescaped,
    withAbstractPath,
)
from tcplab.wire.suggestion import suggest
from twisted import __version__ as version


def portFileFields(host: IAddress) -> tuple[str, str]:
    """Return a listening address as in the port file: host and port, or ``unix`` and the path."""
    if isinstance(host, UNIXAddress):
        return "unix", _path(host)
    if isinstance(host, IPv4Address | IPv6Address):
        return host.host, str(host.port)
    return str(host), "-"


def formatAddress(host: IAddress) -> str:
    """Return a listening address as text: ``127.0.0.1:80``, ``[::1]:80``, a path."""
    first, second = portFileFields(host)
    if isinstance(host, UNIXAddress):
        return second
    return f"[{first}]:{second}" if ":" in first else f"{first}:{second}"


def reachability(host: IAddress) -> str:
    """Describe from where a listening address can be reached."""
    if isinstance(host, UNIXAddress):
        abstract = (host.name or b"").startswith(b"\0")
        return f"reachable by {'all local users' if abstract else 'local users that may open it'}"
    if not isinstance(host, IPv4Address | IPv6Address):
        return "reachable by all that the endpoint lets in"
    address = ip_address(host.host)
    if address.is_loopback:
        return "reachable from this machine only"
    if address.is_unspecified:
        return "reachable from every network this machine is on" + _at(address.version == 6)
    return f"reachable by all that can reach {address}"


def _at(ipv6: bool) -> str:
    found = machineAddresses(ipv6)
    more = [f"{len(found) - _MAX_SHOWN} more"] if len(found) > _MAX_SHOWN else []
    return ", at " + ", ".join([*found[:_MAX_SHOWN], *more]) if found else ""


def _path(host: UNIXAddress) -> str:
    name = host.name or b""
    return "@" + os.fsdecode(name[1:]) if name.startswith(b"\0") else os.fsdecode(name)


#: Addresses of this machine that are logged at the start.
_MAX_SHOWN = 4

#: Bytes in the path of a Unix socket: sun_path has 108, one of them for the end (unix(7)).
_MAX_PATH = 107

_KINDS = ("tcp", "tcp6", "unix", "ssl", "tls", "systemd", "limit", "fault")


def endpointOf(
    reactor: IReactor | AdoptingReactor, settings: ListenerSettings
) -> IStreamServerEndpoint:
    """
    Return the endpoint that a listener's string describes; nothing is bound yet.

    :param reactor: listens.
    :param settings: have the string.

    :raises SettingsError: the string is wrong, or a file that it names cannot be read.
    """
    try:
        text, ours = _takeOptions(_absolute(settings.endpoint))
        clock = cast("IReactorTime", reactor)  # an AdoptingReactor passes on what it lacks
        text, certificates = _certificates(text, ours, clock)
        endpoint: IStreamServerEndpoint = serverFromString(withTLSClock(reactor), text)
        _configureTLS(endpoint, certificates, ours, clock)
    except Exception as e:
        raise SettingsError(_prefix(settings) + _explained(settings.endpoint, e)) from None
    return endpoint


#: Options that Twisted's endpoints do not have: the authorities of clients' certificates, and the
#: protocols that clients may choose from, with commas between them.
_OPTION = re.compile(r":(ca|alpn)=((?:\\.|[^:\\])*)")


class _Options(NamedTuple):
    clients: object | None = None
    protocols: tuple[bytes, ...] = ()


def _takeOptions(endpoint: str) -> tuple[str, _Options]:
    if not splitWrappers(endpoint)[1].startswith(("ssl:", "tls:")):
        return endpoint, _Options()
    found = {name: unescaped(value) for name, value in _OPTION.findall(endpoint)}
    clients = loadClientCAs(found["ca"]) if "ca" in found else None
    protocols = tuple(each.encode() for each in found.get("alpn", "").split(",") if each)
    return _OPTION.sub("", endpoint), _Options(clients, protocols)


def _certificates(
    endpoint: str, ours: _Options, clock: IReactorTime
) -> tuple[str, Identity | CertificateDirectory | None]:
    """
    Read the files that an endpoint names, before Twisted does.

    Twisted asks the terminal for the passphrase of a key. With an authority's own certificate in
    the folder of ``tls:`` it never ends. So the string that is returned names no folder.
    """
    wrappers, inner = splitWrappers(endpoint)
    kind, words, options = split(inner)
    if kind == "ssl":
        named = {**dict(zip(("port", "privateKey", "certKey"), words, strict=False)), **options}
        key = named.get("privateKey", "server.pem")  # Twisted's own default
        return endpoint, loadIdentity(named.get("certKey", key), key)
    path = argument("path", words, options)
    names = [each for each in ("path", "port", "backlog", "interface") if each not in options]
    if kind != "tls" or not path or len(words) > len(names):
        return endpoint, None
    named = {**dict(zip(names, words, strict=False)), **options, "path": os.devnull}
    text = ":".join(f"{name}={quoteStringArgument(value)}" for name, value in named.items())
    directory = CertificateDirectory(path, clock, ours.clients, ours.protocols)
    return f"{wrappers}tls:{text}", directory


def _configureTLS(
    endpoint: Any,
    certificates: Identity | CertificateDirectory | None,
    ours: _Options,
    clock: IReactorTime,
) -> None:
    while isinstance(endpoint, WrappingEndpoint):  # limit:, fault:
        endpoint = endpoint.endpoint
    if _isTLSEndpoint(endpoint):
        if certificates is None:  # an unknown wrapper: Twisted's own TLS would serve
            raise CertificatesError(
                "the folder of its certificates is not known: use tls: without this wrapper"
            )
        endpoint.clock = clock
        endpoint.connectionCreator = certificates
    elif isinstance(endpoint, SSL4ServerEndpoint):
        options = endpoint._sslContextFactory
        if isinstance(certificates, Identity):
            options.privateKey, options.certificate = certificates.key, certificates.certificate
            options.extraCertChain = [*certificates.chain, *options.extraCertChain]
        hardenTLS(options, *ours)


def _isTLSEndpoint(endpoint: object) -> bool:
    # Twisted before 26.4 has no tls: for servers, and no such module.
    return type(endpoint).__module__ == "twisted.protocols._sni"


def _absolute(endpoint: str) -> str:
    # twistd may change its folder afterwards; the path of a Unix socket is removed at the end.
    endpoint = withAbstractPath(endpoint)
    wrappers, inner = splitWrappers(endpoint)
    kind, _, rest = inner.partition(":")
    if kind == "unix" and re.match(r"(address=)?\0", rest):  # no file, and no lock beside it
        return endpoint if ":lockfile=" in endpoint else f"{endpoint}:lockfile=0"
    if kind != "unix" or not rest or rest.startswith("/") or re.match(r"\w+=", rest):
        return endpoint
    folder = os.getcwd()
    if len(os.fsencode(folder + "/" + rest)) > _MAX_PATH:
        return endpoint
    return f"{wrappers}unix:{quoteStringArgument(folder)}/{rest}"


def unixPath(endpoint: str) -> str:
    """Return the path of a Unix socket of an endpoint string; empty if it has none."""
    kind, words, options = split(splitWrappers(_absolute(endpoint))[1])
    path = argument("address", words, options) if kind == "unix" else ""
    return "" if path.startswith("\0") else path


def _prefix(settings: ListenerSettings) -> str:
    return f"{settings.option}: " if settings.option else ""


def _explained(endpoint: str, error: Exception) -> str:
    kind = split(endpoint)[0]
    text = ": ".join(str(error).splitlines()[:1])
    if isinstance(error, FileNotFoundError) and not error.filename:
        return f"{endpoint!r}: the folder in which it was started is gone: change to another one"
    if isinstance(error, OSError):
        file = os.fsdecode(error.filename) if error.filename else endpoint
        return f"cannot read {file}: {error.strerror or text}: name a file that is there"
    unknown = "Unknown endpoint type" in text or not kind
    near = suggest(kind, _KINDS)
    if (kind in _KINDS or (unknown and not near)) and (better := meant(endpoint, server=True)):
        return f"{endpoint!r}: write {better}"
    if type(error).__module__.startswith("tcplab."):
        return text  # one line already
    if "Unknown endpoint type: 'tls'" in text:
        return f"{endpoint!r}: 'tls:' needs Twisted 26.4 or newer and this is {version}: use ssl:"
    if unknown:
        return f"there is no kind of endpoint {kind!r}{near}: use {', '.join(_KINDS)}"
    if isinstance(error, TypeError):
        return (
            f"{endpoint!r}: {explained(error)}:"
            " write KIND:ARGUMENT:key=value, and \\: for a colon in a value"
        )
    if text.startswith("invalid literal"):
        return f"{endpoint!r}: {explained(error)}"
    if "StopIteration" in text:
        return f"{endpoint!r} ends in a backslash: write \\\\ for one"
    if kind == "systemd":
        return f"{endpoint!r}: systemd has handed over no such socket ({text})"
    if kind in ("ssl", "tls"):
        return f"{endpoint!r}: its key or certificate cannot be used: give PEM files ({text})"
    return f"{endpoint!r}: {type(error).__name__}: {text}"


#: The ports that Linux gives to outgoing connections.
_CLIENTS = "/proc/sys/net/ipv4/ip_local_port_range"


def cannotListen(settings: ListenerSettings, error: BaseException | None) -> SettingsError:
    """Describe in one line why an endpoint could not listen, and what to do about it."""
    prefix = _prefix(settings)
    if not isinstance(error, CannotListenError):
        return SettingsError(f"{prefix}cannot listen on {settings.endpoint}: {_errorText(error)}")
    port, cause = error.port, error.socketError
    if isinstance(port, bytes):
        return SettingsError(prefix + _unixInUse(os.fsdecode(port), cause))
    number = cause.errno if isinstance(cause, OSError) else None
    if port is None or number is None:
        return SettingsError(f"{prefix}cannot listen on {settings.endpoint}: {_errorText(cause)}")
    host = error.interface or "every address"
    if number == errno.EADDRINUSE:
        other = {"--port": "--port 0", "port": "port=0"}.get(settings.portOption, "port 0")
        text = (
            f"port {port} is in use on {host}: stop the program that has it,"
            f" or let the system choose with {other}{_ephemeral(port)}"
        )
    elif number == errno.EACCES:
        text = f"port {port} needs more rights: use one from 1024 up, or start as root"
    elif number == errno.EADDRNOTAVAIL:
        text = f"this machine has no address {host}: use one of its own, 127.0.0.1 or 0.0.0.0"
    elif number == errno.EINVAL and host.lower().startswith("fe80:"):
        text = f"{host} is link-local and needs its interface: write it as in {host}%eth0"
    else:
        text = f"cannot listen on port {port} of {host}: {_errorText(cause)}"
    return SettingsError(prefix + text)


def _ephemeral(port: int) -> str:
    # A connect() takes a port of this range, and holds it for minutes after the connection.
    try:
        with open(_CLIENTS) as file:
            first, last = map(int, file.read().split())
    except (OSError, ValueError):  # another system
        return ""
    if not first <= port <= last:
        return ""
    return (
        f"; an outgoing connection may hold it too, since the system takes ports {first} to {last}"
        " for these"
    )


def _unixInUse(path: str, cause: object) -> str:
    if os.path.lexists(path) and not isSocket(path):
        return f"there is a file {path} already: remove it, or use another path"
    if cause == "Cannot acquire lock":
        return f"another process serves on {path}: stop it, or use another path"
    if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
        return f"there is a file {path} already: remove it, or use another path"
    return f"cannot listen on {path}: {_errorText(cause)}: use another path"


def _errorText(cause: object) -> str:
    strerror = cause.strerror if isinstance(cause, OSError) else None
    return strerror or ": ".join(str(cause).splitlines()[:1])
