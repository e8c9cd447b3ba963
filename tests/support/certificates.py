"""Certificates for tests, made on the spot."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import os
import socket
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from unittest import skipIf

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from tcplab.reactor.twistedinternals import missing

#: For the tests of endpoints ``tls:``, which Twisted before 26.4 has not for servers.
servesTLS = skipIf(missing("tcplab.server"), "this Twisted has no tls: for servers")


@functools.cache
def localhostPEM() -> bytes:
    """Make a key and a certificate for localhost and 127.0.0.1, signed by itself."""
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return signedBySelf(x509.SubjectAlternativeName(names))


@functools.cache
def namelessPEM() -> bytes:
    """Make them with a common name only, which names nobody (RFC 9525, 6.3)."""
    return signedBySelf()


def pem(*names: str) -> bytes:
    """Make a key and a certificate for these names, signed by itself."""
    return signedBySelf(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]))


def signedBySelf(*extensions: x509.ExtensionType) -> bytes:
    """Make a key and a certificate with these extensions."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _keyPEM(key) + _certificate("localhost", key, key, "localhost", *extensions)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: str,
    *extensions: x509.ExtensionType,
    days: int = 1,
    ca: bool = True,
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _keyPEM(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class Authority:
    """
    Signs the certificates of others.

    :ivar pem: its own certificate.
    """

    def __init__(self, name: str = "authority") -> None:
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = _certificate(name, self._key, self._key, name)

    def signed(self, name: str, days: int = 1, names: Sequence[str] = ()) -> bytes:
        """Make a key and a certificate; with less than no days it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [x509.SubjectAlternativeName([*map(x509.DNSName, names)])] if names else []
        signed = _certificate(name, key, self._key, self._name, *extensions, days=days, ca=False)
        return _keyPEM(key) + signed


def localhostFile(folder: str | None = None) -> str:
    """Write it to a file, in a folder of its own unless one is given."""
    path = os.path.join(folder or tempfile.mkdtemp(prefix="tcplab"), "localhost.pem")
    with open(path, "wb") as file:
        file.write(localhostPEM())
    os.chmod(path, 0o600)  # as keys are; a lab would warn
    return path


def overTLS(sock: socket.socket, host: str | None = None) -> ssl.SSLSocket:
    """Speak TLS on a socket, whatever the certificate of the peer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(sock, server_hostname=host)


def encrypted(text: bytes, form: serialization.PrivateFormat) -> bytes:
    """Encrypt a key, in the form of PKCS #8 or of RFC 1421."""
    key = serialization.load_pem_private_key(text, None)
    passphrase = serialization.BestAvailableEncryption(b"secret")
    return key.private_bytes(serialization.Encoding.PEM, form, passphrase)


def handshake(
    server: SSL.Connection, name: bytes | None = None, offered: Sequence[bytes] = ()
) -> SSL.Connection:
    """
    Shake hands in memory, and return the client's side.

    :param name: the name that the client asks for.
    :param offered: its protocols (ALPN).
    :raises OpenSSL.SSL.Error: the client's side has failed.
    """
    server.set_accept_state()
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    if name is not None:
        client.set_tlsext_host_name(name)
    if offered:
        client.set_alpn_protos(list(offered))
    for _ in range(3):
        with suppress(SSL.WantReadError):
            client.do_handshake()
        with suppress(SSL.WantReadError):
            server.bio_write(client.bio_read(65536))
        with suppress(SSL.Error):
            server.do_handshake()
        with suppress(SSL.WantReadError):
            client.bio_write(server.bio_read(65536))
    return client
