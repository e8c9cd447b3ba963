"""
The PEM files (RFC 7468) that users name: all that they hold is used, or refused with its reason.

Twisted's own endpoints take the first certificate of a file and drop those behind it. OpenSSL asks
the terminal for the passphrase of a key; a worker has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificate
from OpenSSL.crypto import X509, PKey

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s*\Z")


class Block(NamedTuple):
    """
    One block.

    :ivar label: what it holds, as ``CERTIFICATE``.
    :ivar text: all of it, with its first and last line.
    """

    label: str
    text: bytes

    @property
    def isKey(self) -> bool:
        """It holds a private key."""
        return self.label.endswith("PRIVATE KEY")

    @property
    def isEncrypted(self) -> bool:
        """It can only be read with a passphrase: PKCS #8's own block, or a header of RFC 1421."""
        return self.label.startswith("ENCRYPTED ") or b"\nProc-Type: 4,ENCRYPTED" in self.text


def blocks(data: bytes) -> Iterator[Block]:
    """
    Yield the blocks of a file; text around them is a comment.

    :raises ValueError: a block has no end; the text is one line.
    """
    label, lines = "", [b""]
    for line in data.splitlines(keepends=True):
        found = _BEGIN.match(line)
        if found and label:
            break
        if found:
            label, lines = found[1].decode(), []
        lines.append(line)
        if label and line.startswith(b"-----END " + label.encode() + b"-----"):
            yield Block(label, b"".join(lines))
            label, lines = "", []
    if label:
        raise ValueError(f"its {label} has no end: a line is missing, -----END {label}-----")


_CERTIFICATE = "CERTIFICATE"

#: Blocks of no use here, and in the way of nothing: the curve of a key is in the key as well.
_IGNORED = ("EC PARAMETERS", "DH PARAMETERS", "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")


class PEMError(ValueError):
    """A PEM file cannot be used: the text is one line, with what to do."""


class Identity(NamedTuple):
    """
    A private key, its certificate, and the chain of certificates behind it.

    :ivar path: the file of the key.
    """

    path: str
    key: PKey
    certificate: X509
    chain: tuple[X509, ...]


class Objects(NamedTuple):
    """What some files hold, each with its file."""

    certificates: list[tuple[str, Certificate]]
    keys: list[tuple[str, PKey]]


#: Bytes; the bundle of all authorities of a system has a sixtieth of it.
_MOST = 2**24


def readObjects(paths: Iterable[str]) -> Objects:
    """
    Read the keys and certificates of some files.

    :raises OSError: a file cannot be read.
    :raises PEMError: it holds something that cannot be used.
    """
    found = Objects([], [])
    for path in paths:
        with open(path, "rb") as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST:  # a device, say, that has no end
            raise PEMError(f"{path} cannot be used: it is larger than 16 MiB")
        try:
            _sort(path, list(blocks(data)), found)
        except PEMError:
            raise
        except ValueError as error:
            raise PEMError(f"{path} cannot be used: {error}") from None
    return found


def _sort(path: str, parts: list[Block], found: Objects) -> None:
    for block in parts:
        if block.isKey:
            found.keys.append((path, _key(path, block)))
        elif block.label == _CERTIFICATE:
            found.certificates.append((path, _certificate(path, block)))
        elif block.label not in _IGNORED:
            raise PEMError(f"{path} has a {block.label}, which is of no use here: remove it")


def _key(path: str, block: Block) -> PKey:
    if block.isEncrypted:
        raise PEMError(
            f"the private key in {path} is encrypted: take the passphrase off"
            f" (openssl pkey -in {path} -out NEW)"
        )
    try:
        return PKey.from_cryptography_key(load_pem_private_key(block.text, None))  # type: ignore[arg-type]
    except Exception as error:  # of cryptography, or of its library
        raise PEMError(f"the private key in {path} cannot be used: {_oneLine(error)}") from None


def _certificate(path: str, block: Block) -> Certificate:
    try:
        return load_pem_x509_certificate(block.text)
    except Exception as error:
        raise PEMError(f"a certificate in {path} cannot be used: {_oneLine(error)}") from None


def _oneLine(error: Exception) -> str:
    return ": ".join(str(error).splitlines()[:1]) or type(error).__name__


def loadIdentity(certificatePath: str, keyPath: str) -> Identity:
    """
    Read a key from one file, and its certificate and the chain behind it from another, or the same.

    The other certificates of the file are the chain, in their order (RFC 8446, 4.4.2). Its own is
    the first one: Twisted's endpoints read it there.

    :raises OSError: a file cannot be read.
    :raises PEMError: it does not hold what it should.
    """
    keys = readObjects([keyPath]).keys
    certificates = readObjects([certificatePath]).certificates
    if not keys:
        raise PEMError(f"there is no private key in {keyPath}: name a PEM file that has one")
    if len(keys) > 1:
        raise PEMError(f"there are {len(keys)} private keys in {keyPath}: leave the one to be used")
    if not certificates:
        raise PEMError(f"there is no certificate in {certificatePath}: name a PEM file that has it")
    [(_, key)] = keys
    mine = _of(key, certificates)
    if mine is None:
        raise PEMError(
            f"the private key in {keyPath} belongs to no certificate in {certificatePath}:"
            " name the two that were made together"
        )
    if mine != certificates[0][1]:
        raise PEMError(
            f"the certificate of the private key is not the first in {certificatePath}:"
            " put it before the others"
        )
    chain = [each for _, each in certificates if each != mine]
    return Identity(keyPath, key, _openSSL(mine), tuple(map(_openSSL, chain)))


def identities(found: Objects) -> Iterator[tuple[Identity, Certificate]]:
    """
    Yield each key with its certificate; the chain is made of the issuers among the others.

    :raises PEMError: a key has no certificate.
    """
    for path, key in found.keys:
        mine = _of(key, found.certificates)
        if mine is None:
            raise PEMError(f"the private key in {path} has no certificate beside it: add it")
        chain = tuple(map(_openSSL, _issuers(mine, found)))
        yield Identity(path, key, _openSSL(mine), chain), mine


def _issuers(certificate: Certificate, found: Objects) -> Iterator[Certificate]:
    bySubject = {each.subject: each for _, each in found.certificates}
    seen = {certificate.subject}
    while certificate.issuer in bySubject and certificate.issuer not in seen:
        seen.add(certificate.issuer)
        certificate = bySubject[certificate.issuer]
        yield certificate


def _of(key: PKey, certificates: list[tuple[str, Certificate]]) -> Certificate | None:
    public = key.to_cryptography_key().public_key()  # type: ignore[union-attr]
    return next((each for _, each in certificates if each.public_key() == public), None)


def _openSSL(certificate: Certificate) -> X509:
    return X509.from_cryptography(certificate)
