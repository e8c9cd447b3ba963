"""Modules that a user has written, in a folder of their own, for the time of a test."""

from __future__ import annotations

import os
import sys
import textwrap

from twisted.trial.unittest import SynchronousTestCase


def standIn(test: SynchronousTestCase, **modules: str) -> str:
    """
    Make modules in a new folder, and make it the current one until the test is over.

    :param modules: their source text, by name.
    :return: the folder.
    """
    folder = os.path.abspath(test.mktemp())
    os.makedirs(folder)
    for name, source in modules.items():
        with open(os.path.join(folder, f"{name}.py"), "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(source))
    before, path = os.getcwd(), list(sys.path)
    os.chdir(folder)

    def leave() -> None:
        os.chdir(before)
        sys.path[:] = path
        for name in modules:
            sys.modules.pop(name, None)

    test.addCleanup(leave)
    return folder
