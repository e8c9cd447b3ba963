"""TLS of the client's side: the platform's trust and the host's name, or no questions asked."""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import Connection
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from zope.interface import implementer

from tcplab.reactor.tls import TLSFactory


@implementer(IOpenSSLClientConnectionCreator)
class Unverified:
    """Connections that believe any certificate; the name is only told to the server (SNI)."""

    def __init__(self, host: str | None) -> None:
        self._context = CertificateOptions().getContext()
        self._host = host

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Connection:
        """Make one connection."""
        connection = Connection(self._context, None)
        host = self._host
        # RFC 6066, section 3: a literal address is no server name.
        if host and not isIPAddress(host) and not isIPv6Address(host):
            connection.set_tlsext_host_name(host.encode("idna"))
        return connection


def overTLS(factory: Any, host: str | None, *, insecure: bool) -> Any:
    """
    Put TLS around what a factory builds.

    :param host: whom the certificate must be for; may be ``None`` only if ``insecure``.
    :param insecure: believe any certificate.
    """
    if insecure:
        return TLSFactory(Unverified(host), True, factory)
    assert host is not None
    return TLSFactory(optionsForClientTLS(host), True, factory)
