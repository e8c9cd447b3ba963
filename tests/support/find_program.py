"""Where programs are that tests need: a user's PATH may lack the administrator's folders."""

from __future__ import annotations

import os
import shutil
import unittest

_ADMINISTRATORS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def searched(*folders: str) -> str:
    """Return a PATH: the user's, then the administrator's folders, then some more."""
    return ":".join([os.environ.get("PATH", os.defpath), *_ADMINISTRATORS, *folders])


def found(name: str, *folders: str) -> str | None:
    """Find a program, there or in some more folders."""
    return shutil.which(name, path=searched(*folders))


def needed(name: str, package: str | None = None, *folders: str) -> str:
    """Find a program; skip the test where it is not installed."""
    path = found(name, *folders)
    if path is None:
        raise unittest.SkipTest(f"there is no {name}: apt-get install {package or name}")
    return path
