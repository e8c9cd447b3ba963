"""Files with private keys: which of them everybody on this machine may read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from tcplab.wire.endpointstring import unescaped

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
    found = re.search(r"(?:^|:)(ssl|tls):(.*)", endpoint, re.DOTALL)
    if found is None:
        return
    words = [unescaped(each) for each in re.findall(r"((?:\\.|[^:\\])+)", found[2])]
    if found[1] == "tls":
        folder = words[0].removeprefix("path=") if words else "."
        for at, _, names in os.walk(folder):
            yield from (os.path.join(at, name) for name in names if name.endswith(".pem"))
        return
    said = [word.partition("=")[2] for word in words if word.startswith("privateKey=")]
    yield from said or ["server.pem"]  # Twisted's own default


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
