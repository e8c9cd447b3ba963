"""Calls of Linux that Python 3.11 has no name for."""

from __future__ import annotations

import ctypes
import os
import signal

# <linux/sched.h>, <linux/prctl.h>, <sys/mount.h>
_CLONE_NEWNET = 0x40000000
_CLONE_NEWNS = 0x00020000
_PR_SET_PDEATHSIG = 1
_MS_REC, _MS_PRIVATE = 16384, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def newNetwork() -> None:
    """
    Give the calling thread a network of its own.

    :raises OSError: we may not.
    """
    _checked(_libc.unshare(_CLONE_NEWNET))


def enterNetwork(descriptor: int) -> None:
    """
    Let the calling thread, and what it starts, be in a network.

    :param descriptor: an open ``/proc/…/ns/net``.
    :raises OSError: we may not.
    """
    _checked(_libc.setns(descriptor, _CLONE_NEWNET))


def dieWithParent() -> None:
    """Have this process killed when the one that has started it is gone, however that ended."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def tinyDisk(folder: str, size: str) -> None:
    """
    Put a small disk on a folder, which only this process and its children see, and which ends with
    the last of them.

    :param size: as mount(8) has it: ``64k``.
    :raises OSError: we may not.
    """
    _checked(_libc.unshare(_CLONE_NEWNS))
    _checked(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    _checked(_libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, f"size={size}".encode()))
