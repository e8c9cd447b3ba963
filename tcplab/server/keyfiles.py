"""Files with private keys: which of them everybody on this machine may read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from tcplab.wire.endpointstring import first, split

_KEY = b"PRIVATE KEY-----"
#: A key and a chain of certificates are some KiB.
_ENOUGH = 1 << 20


def openToAll(endpoint: str) -> list[str]:
    """
    Name the files of an endpoint of ours that have a private key, and that others may read.

    :param endpoint: a string, ``ssl:`` or ``tls:`` perhaps behind ``limit:`` or another.
    """
    return sorted(path for path in set(_files(endpoint)) if _open(path) and _hasKey(path))


def _files(endpoint: str) -> Iterator[str]:
    found = re.search(r"(?:^|:)((?:ssl|tls):.*)", endpoint, re.DOTALL)
    if found is None:
        return
    kind, words, options = split(found[1])
    if kind == "tls":
        for at, _, names in os.walk(first("path", words, options) or "."):
            yield from (os.path.join(at, name) for name in names if name.endswith(".pem"))
    else:
        yield options.get("privateKey", "server.pem")  # Twisted's own default


def _open(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


def _hasKey(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return _KEY in file.read(_ENOUGH)
    except OSError:
        return False
