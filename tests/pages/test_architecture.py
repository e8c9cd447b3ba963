"""The architecture is drawn as it is in the code."""

from __future__ import annotations

import importlib
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.support.rst_pages import literals, page, section, table
from tests.support.subprocess_server import ROOT


class LifeTests(SynchronousTestCase):
    """The life of a connection is drawn with the names that are in the code."""

    def setUp(self) -> None:
        self.text = page("docs/explanation/architecture.rst")
        self.life = section(self.text, "The life of a connection")
        self.classes: dict[str, type] = {}
        for title in ("Accept", "Open", "Converse", "End"):
            for path, has in table(self.text, f"\n{title}\n~"):
                name = literals(path)[0].removesuffix(".py").replace("/", ".")
                module = importlib.import_module(name)
                for each in re.findall(r"``([A-Z]\w+)``", has):
                    self.classes[each] = vars(module)[each]
                    self.assertEqual(self.classes[each].__module__, name)

    def test_rooms(self) -> None:
        drawn = re.findall(r"^      (\w+)/ ", self.text, re.MULTILINE)
        rooms = {each.parent.name for each in (ROOT / "tcplab").glob("*/__init__.py")}
        self.assertEqual(set(drawn), rooms)

    def test_methods(self) -> None:
        found = re.findall(r"\b([A-Z]\w+)\.(\w+)", self.life)
        self.assertGreater(len(found), 30)
        for name, method in found:
            self.assertTrue(callable(getattr(self.classes[name], method)), f"{name}.{method}")

    def test_classes(self) -> None:
        drawn = re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", self.life)
        self.assertEqual({*drawn} - {*self.classes}, set())
