"""Compile the C programs that stand beside this file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def compiler() -> str | None:
    """Find a C compiler: what ``CC`` names, or else ``cc``, ``gcc`` or ``clang``."""
    named = os.environ.get("CC")
    return next(filter(None, map(shutil.which, [named] if named else ["cc", "gcc", "clang"])), None)


def build(cc: str, name: str, folder: Path) -> Path:
    """
    Compile ``name.c`` into a folder.

    :raises subprocess.CalledProcessError: the compiler does not like it; it has said why.
    """
    program = folder / name
    subprocess.run([cc, "-O2", "-o", program, HERE / f"{name}.c"], check=True)
    return program
