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


def install(test: SynchronousTestCase, entries: dict[str, str], **modules: str) -> str:
    """
    Make modules as `standIn` does, and the metadata of a package that has them.

    :param entries: the lines of its entry points, by group.
    :return: the folder.
    """
    folder = standIn(test, **modules)
    metadata = os.path.join(folder, "my_package-1.0.dist-info")
    os.makedirs(metadata)
    groups = "".join(f"[{group}]\n{lines}\n" for group, lines in entries.items())
    for name, text in (
        ("METADATA", "Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n"),
        ("entry_points.txt", groups),
    ):
        with open(os.path.join(metadata, name), "w", encoding="utf-8") as file:
            file.write(text)
    sys.path.insert(0, folder)
    return folder
