"""Every page can be read, and every file that is named in one is there."""

from __future__ import annotations

import posixpath
import re
import unittest

from twisted.trial.unittest import SynchronousTestCase

from tests.support.recipes import RECIPES
from tests.support.rst_pages import PAGES, PLAIN, literals, page
from tests.support.subprocess_server import ROOT


class ValidTests(SynchronousTestCase):
    def test_plainPagesAreReStructuredText(self) -> None:
        """The others are built by Sphinx: see ``make docs``."""
        try:
            from docutils.core import publish_doctree
        except ImportError:
            raise unittest.SkipTest("docutils is not installed") from None
        strictly = {"report_level": 1, "halt_level": 1, "syntax_highlight": "none"}
        for name in PLAIN:
            publish_doctree(page(name), name, settings_overrides=strictly)

    def test_everyFileThatIsNamedIsThere(self) -> None:
        for name in PAGES:
            for path in _paths(name):
                self.assertTrue((ROOT / path).exists(), f"{name} names {path}")


def madeUp() -> set[str]:
    """Return the files that a reader makes."""
    made = {path for recipe in RECIPES.values() for path in recipe.files}
    return made | {"twisted/plugins/shout_plugin.py"}


def _paths(name: str) -> list[str]:
    """Find what reads like a file of the project, and the targets of links."""
    text = page(name)
    rooms = "tcplab|tests|examples|docs|twisted|benchmarks"
    named = [each for each in literals(text) if re.fullmatch(rf"(?:{rooms})/[\w./]*", each)]
    named += [
        each for each in literals(text) if re.fullmatch(r"[A-Z]+\.rst|LICENSE|\.ci/\w+", each)
    ]
    linked = re.findall(r"<(?!http)([\w./]+)>`_", text) if name in PLAIN else []
    folder = posixpath.dirname(name)
    linked = [posixpath.normpath(posixpath.join(folder, each)) for each in linked]
    return sorted({*named, *linked} - madeUp())
