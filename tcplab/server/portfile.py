"""The port file: where a lab listens, for programs to read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from tcplab.config.errors import SettingsError
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.endpoints import portFileFields


def prepare(path: str) -> None:
    """
    Remove the file of an earlier run: that it exists shall mean that all ports listen.

    :raises SettingsError: the file could not be written later.
    """
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise SettingsError(f"--port-file {path}: there is no folder {folder}: make it first")
    if os.path.lexists(path) and not stat.S_ISREG(os.stat(path, follow_symlinks=False).st_mode):
        raise SettingsError(f"--port-file {path} is no plain file: name one that may be replaced")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"--port-file {path}: no right to write in {folder}: name another place"
        )
    if os.path.lexists(path):
        os.remove(path)


def write(path: str, listeners: Iterable[EndpointListener]) -> None:
    """
    Write a line for each listener, ``NAME HOST PORT`` or ``NAME unix PATH``.

    The file is written beside its place and renamed, so that no reader finds a part of it.

    :raises SettingsError: it cannot be written.
    """
    text = "".join(
        f"{each.settings.name} {' '.join(portFileFields(each.host))}\n" for each in listeners
    )
    beside = f"{path}.{os.getpid()}"
    try:
        with open(beside, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as e:
        raise SettingsError(f"--port-file {path} cannot be written: {e.strerror}") from None
