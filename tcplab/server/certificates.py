"""Certificates: chosen by server name, required of clients; keys that all users can read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from cryptography import x509
from OpenSSL.SSL import Connection, Context
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.logger import Logger
from zope.interface import implementer

from tcplab.reactor.clock import ignoreUnknownALPN
from tcplab.reactor.connecterrors import recordRefusals
from tcplab.reactor.pemfiles import Identity, PEMError, identities, readObjects
from tcplab.wire.endpointstring import argument, split

_KEY = b"PRIVATE KEY-----"
#: Bytes to search for a key; a key and a chain of certificates have some KiB.
_MAX_FILE = 1 << 20


def worldReadableKeys(endpoint: str) -> list[str]:
    """
    Return the files of an endpoint that hold a private key and that every user may read.

    :param endpoint: its string; ``limit:`` and the like may stand before ``ssl:`` and ``tls:``.
    """
    return sorted(
        path for path in set(_files(endpoint)) if _isWorldReadable(path) and _hasKey(path)
    )


def _files(endpoint: str) -> Iterator[str]:
    found = re.search(r"(?:^|:)((?:ssl|tls):.*)", endpoint, re.DOTALL)
    if found is None:
        return
    kind, words, options = split(found[1])
    if kind == "tls":
        for at, _, names in os.walk(argument("path", words, options) or "."):
            yield from (os.path.join(at, name) for name in names if name.endswith(".pem"))
    else:
        yield options.get("privateKey", "server.pem")  # Twisted's own default


def _isWorldReadable(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


def _hasKey(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return _KEY in file.read(_MAX_FILE)
    except OSError:
        return False


log = Logger("tcplab.server.certificates")

#: Seconds from one check of a folder to the next, however many clients connect.
_RECHECK = 1.0

#: For TLS 1.2: forward secrecy, and authenticated encryption (Mozilla's "intermediate"). Twisted's
#: own list adds CBC with SHA-1, and RSA key exchange. All ciphers of TLS 1.3 are good.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!PSK"

#: Bytes that are read of a file of authorities.
_MOST = 2**24

_PEM = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CertificatesError(PEMError):
    """Certificates cannot be used; the text is one line."""


def loadClientCAs(path: str) -> object:
    """
    Read the authorities that sign the certificates of clients.

    :param path: a PEM file.
    :raises OSError: it cannot be read.
    :raises CertificatesError: it has no certificate.
    """
    with open(path, "rb") as file:
        found = _PEM.findall(file.read(_MOST))
    try:
        certificates = [Certificate.loadPEM(each) for each in found]
    except Exception:  # pyOpenSSL's or cryptography's
        certificates = []
    if not certificates:
        raise CertificatesError(
            f"there is no certificate in {path}: name a PEM file of your clients' authorities"
        )
    return trustRootFromCertificates(certificates)


def hardenTLS(
    options: CertificateOptions, clients: Any = None, protocols: Sequence[bytes] = ()
) -> Context:
    """
    Allow fewer ciphers than Twisted does, and require certificates of clients.

    :param options: they have not made their context yet.
    :param clients: the authorities that sign them (`loadClientCAs`); ``None`` requires none.
    :param protocols: those that clients may choose from (ALPN); without any the choice is ignored.
    :return: the context.
    """
    options._cipherString = CIPHERS
    options._acceptableProtocols = list(protocols)
    if clients is not None:
        options.verify = options.requireCertificate = True
        options.trustRoot = clients
    ignoreUnknownALPN(options)
    context: Context = options.getContext()
    if clients is not None:
        recordRefusals(context)
    return context


@implementer(IOpenSSLServerConnectionCreator)
class CertificateDirectory:
    """
    The certificates and keys in the ``.pem`` files of a folder, and below it.

    The server name of a client (SNI) selects one; ``*.example.org`` stands for any name before the
    first dot. Without a name, or with an unknown one, it is the first by alphabet. When files
    change, the next connection gets the new certificates. If they cannot be read, the old ones
    stay.

    Twisted's own creator for ``tls:`` reads the folder for each unknown name, and never again for
    the known ones.

    :param path: the folder's, or a file's.
    :param clock: keeps the time.
    :param clients: the authorities that sign the certificates of clients; ``None`` requires none.
    :param protocols: see `hardenTLS`.
    :raises PEMError: there is no certificate with names and its key.
    """

    def __init__(
        self,
        path: str,
        clock: IReactorTime,
        clients: object | None = None,
        protocols: Sequence[bytes] = (),
    ) -> None:
        self._path = os.path.abspath(path)  # twistd may change its folder
        self._clock = clock
        self._clients = clients
        self._protocols = protocols
        self._files = self._scan()
        if not self._files:
            raise CertificatesError(
                f"there is no .pem file in {self._path}: name a folder that has certificates and"
                " their keys"
            )
        self._checkedAt = clock.seconds()
        self._contexts = self._loadContexts()

    def serverConnectionForTLS(self, protocol: object) -> Connection:
        """Return the server's side of a new TLS connection."""
        if not 0 <= self._clock.seconds() - self._checkedAt < _RECHECK:
            self._checkFiles()
        return Connection(self._contexts[min(self._contexts)])

    def _contextFor(self, name: bytes | None) -> Context | None:
        name = (name or b"").lower()
        return self._contexts.get(name) or self._contexts.get(b"*." + name.partition(b".")[2])

    # The files

    def _scan(self) -> dict[str, tuple[int, int, int]]:
        paths = [
            os.path.join(each, name) for each, _, names in os.walk(self._path) for name in names
        ]
        seen = {}
        for path in [self._path, *paths]:
            if path.endswith(".pem") and os.path.isfile(path):
                found = os.stat(path)
                seen[path] = (found.st_ino, found.st_size, found.st_mtime_ns)
        return seen

    def _checkFiles(self) -> None:
        self._checkedAt = self._clock.seconds()
        try:
            seen = self._scan()
            if seen == self._files:
                return
            self._files = seen
            self._contexts = self._loadContexts()
        except (OSError, PEMError) as e:
            log.warn("the old certificates stay in use: {e}", log_system="tcplab", e=str(e))
        else:
            log.info("certificates read again: {path}", log_system="tcplab", path=self._path)

    def _loadContexts(self) -> dict[bytes, Context]:
        contexts = {}
        for identity, certificate in identities(readObjects(sorted(self._files))):
            context = self._context(identity)
            for name in _names(certificate):
                contexts[_encoded(name, identity.path)] = context
            if not _names(certificate):
                raise CertificatesError(
                    f"the certificate of the key in {identity.path} has no subjectAltName:"
                    " make one with the names that clients ask for"
                )
        if not contexts:
            raise CertificatesError(
                f"there is no certificate with a subjectAltName and its key in {self._path}"
            )
        return contexts

    def _context(self, identity: Identity) -> Context:
        context = hardenTLS(optionsOf(identity), self._clients, self._protocols)
        context.set_tlsext_servername_callback(self._choose)
        return context

    def _choose(self, connection: Connection) -> None:
        context = self._contextFor(connection.get_servername())
        if context is not None:
            connection.set_context(context)


def optionsOf(identity: Identity) -> CertificateOptions:
    """Return the options of a server that shows this certificate and sends the chain behind it."""
    return CertificateOptions(
        privateKey=identity.key,
        certificate=identity.certificate,
        extraCertChain=list(identity.chain),
    )


def _names(certificate: x509.Certificate) -> list[str]:
    # A certificate for addresses only is chosen by none of them: no client asks for an address.
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    names = found.get_values_for_type(x509.DNSName)
    return names or [str(each) for each in found.get_values_for_type(x509.IPAddress)]


def _encoded(name: str, path: str) -> bytes:
    try:
        return name.lower().encode("ascii" if name.isascii() else "idna")
    except UnicodeError:
        raise CertificatesError(f"the certificate in {path} has no name of a host") from None
