"""TLS for a client: the certificate is verified by the platform's trust store, or not at all."""

from __future__ import annotations

from OpenSSL.SSL import SSL_CB_HANDSHAKE_DONE, Connection, Context
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IProtocolFactory
from twisted.internet.ssl import CertificateOptions, platformTrust
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.reactor.tls import TLSFactory


@implementer(IOpenSSLClientConnectionCreator)
class Unverified:
    """Connections that accept any certificate; the host name is only sent to the server (SNI)."""

    def __init__(self, host: str | None) -> None:
        self._context = self._makeContext()
        self._host = host

    def _makeContext(self) -> Context:
        return CertificateOptions().getContext()

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> Connection:
        """Return the OpenSSL connection for a new TLS protocol."""
        connection = Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        # RFC 6066, section 3: an IP address is no server name.
        if self._host and not _isAddress(self._host):
            connection.set_tlsext_host_name(self._host.encode("idna"))
        return connection


class Verified(Unverified):
    """
    Connections that fail unless the certificate is trusted by this machine, and for the host.

    Twisted's own ``optionsForClientTLS`` only logs a certificate without a name.
    """

    def _makeContext(self) -> Context:
        context = CertificateOptions(trustRoot=platformTrust()).getContext()
        context.set_info_callback(self._handshakeDone)
        return context

    def _handshakeDone(self, connection: Connection, where: int, result: int) -> None:
        if where & SSL_CB_HANDSHAKE_DONE:
            verify = verify_ip_address if _isAddress(str(self._host)) else verify_hostname
            try:
                verify(connection, str(self._host))
            except Exception:
                connection.get_app_data().failVerification(Failure())


def _isAddress(host: str) -> bool:
    return isIPAddress(host) or isIPv6Address(host)


def overTLS(factory: IProtocolFactory, host: str | None, *, insecure: bool) -> IProtocolFactory:
    """
    Insert TLS below the protocols of a factory.

    :param host: the host that the certificate must name; may be ``None`` only if ``insecure``.
    :param insecure: accept any certificate.
    """
    if insecure:
        return TLSFactory(Unverified(host), True, factory)
    assert host is not None
    return TLSFactory(Verified(host), True, factory)
