"""Certificates: chosen by server name, required of clients; private keys that others may read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import Any

from OpenSSL.SSL import Connection, Context
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.logger import Logger
from twisted.protocols._sni import PEMObjects
from twisted.python.filepath import FilePath
from zope.interface import implementer

from tcplab.wire.endpointstring import argument, split

_KEY = b"PRIVATE KEY-----"
#: A key and a chain of certificates are some KiB.
_MAX_FILE = 1 << 20


def worldReadableKeys(endpoint: str) -> list[str]:
    """
    Name the files of an endpoint of ours that have a private key, and that others may read.

    :param endpoint: a string, ``ssl:`` or ``tls:`` perhaps behind ``limit:`` or another.
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

#: Seconds for which a folder is believed to be as it was: no peer makes us look more often.
_RECHECK = 1.0

#: For TLS 1.2: forward secrecy, and authenticated encryption (Mozilla's "intermediate"). Twisted's
#: own list has CBC with SHA-1 too, and RSA key exchange. Those of 1.3 are all good.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!PSK"

_PEM = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CertificatesError(ValueError):
    """They cannot be used; the text is one line."""


def loadClientCAs(path: str) -> Any:
    """
    Read who may have signed the certificates of clients.

    :param path: a PEM file.
    :raises OSError: it cannot be read.
    :raises CertificatesError: there is none in it.
    """
    with open(path, "rb") as file:
        found = _PEM.findall(file.read())
    try:
        certificates = [Certificate.loadPEM(each) for each in found]
    except Exception:  # pyOpenSSL's or cryptography's
        certificates = []
    if not certificates:
        raise CertificatesError(
            f"there is no certificate in {path}: name a PEM file of those who sign your clients'"
        )
    return trustRootFromCertificates(certificates)


def hardenTLS(options: Any, clients: Any = None) -> None:
    """
    Let pass less than Twisted does.

    :param options: a ``CertificateOptions`` that has not made its context.
    :param clients: the authorities that sign certificates of clients (`loadClientCAs`); ``None``:
        clients need no certificate.
    """
    options._cipherString = CIPHERS
    if clients is not None:
        options.verify = options.requireCertificate = True
        options.trustRoot = clients


@implementer(IOpenSSLServerConnectionCreator)
class CertificateDirectory:
    """
    The certificates of a folder, and below: files whose names end in ``.pem``, with their keys.

    The name that a client asks for (SNI) chooses one; ``*.example.org`` is for any name before the
    first dot; who asks for another, or for none, gets the first by alphabet. When files change, the
    next connection gets what they say then. If that cannot be read, the old ones stay.

    Twisted's own creator for ``tls:`` reads the folder for each name that it does not know, and not
    again for those that it knows.

    :param path: the folder's; or a file's.
    :param clock: says the seconds.
    :param clients: who must have signed the certificates of clients; ``None`` asks for none.
    :raises CertificatesError: there is no certificate with names and its key.
    """

    def __init__(self, path: str, clock: Any, clients: Any = None) -> None:
        self._path = os.path.abspath(path)  # twistd may change its folder
        self._clock = clock
        self._clients = clients
        self._files = self._scan()
        if not self._files:
            raise CertificatesError(
                f"there is no .pem file in {self._path}: name a folder that has certificates and"
                " their keys"
            )
        self._checkedAt = clock.seconds()
        self._contexts = self._loadContexts()

    def serverConnectionForTLS(self, protocol: Any) -> Connection:
        """Begin the server's side of a connection."""
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
        except (OSError, CertificatesError) as e:
            log.warn("the certificates stay as they were: {e}", log_system="tcplab", e=str(e))
        else:
            log.info("certificates read again: {path}", log_system="tcplab", path=self._path)

    def _loadContexts(self) -> dict[bytes, Context]:
        try:
            found = PEMObjects.fromDirectory(FilePath(self._path)).inferDomainMapping()
            contexts = {
                name.lower().encode("idna" if not name.isascii() else "ascii"): self._context(each)
                for name, each in found.items()
            }
        except OSError:
            raise
        except Exception as e:
            text = ": ".join(str(e).splitlines()[:1])
            raise CertificatesError(f"a .pem file in {self._path} cannot be used: {text}") from None
        if not contexts:
            raise CertificatesError(
                f"there is no certificate with a subjectAltName and its key in {self._path}"
            )
        return contexts

    def _context(self, options: Any) -> Context:
        hardenTLS(options, self._clients)
        options._contextForServerName = self._contextFor
        return options.getContext()  # type: ignore[no-any-return]
