"""Certificates for tests, made on the spot."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import os
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@functools.cache
def localhostPEM() -> bytes:
    """Make a key and a certificate for localhost and 127.0.0.1, signed by itself."""
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return _signed(x509.SubjectAlternativeName(names))


@functools.cache
def namelessPEM() -> bytes:
    """Make them with a common name only, which names nobody (RFC 9525, 6.3)."""
    return _signed()


def _signed(*extensions: x509.ExtensionType) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, False)
    certificate = builder.sign(key, hashes.SHA256())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def localhostFile(folder: str | None = None) -> str:
    """Write it to a file, in a folder of its own unless one is given."""
    path = os.path.join(folder or tempfile.mkdtemp(prefix="tcplab"), "localhost.pem")
    with open(path, "wb") as file:
        file.write(localhostPEM())
    return path
