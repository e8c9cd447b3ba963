"""What ``twistd tcplab`` and ``tcplab`` do on a system that is not POSIX: refuse, in one line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from twisted.python.usage import Options as UsageOptions


def refuse() -> NoReturn:
    """
    Say where tcplab runs.

    :raises SystemExit: always; the status is 2.
    """
    print("tcplab: needs Linux or macOS: on Windows run it in WSL (wsl --install)", file=sys.stderr)
    raise SystemExit(2)


class Options(UsageOptions):
    """The options of ``twistd tcplab``, all of which are refused."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Refuse to start."""
        refuse()
