"""Tests for the public face: what ``__all__`` lists, how it loads, and that pages use no more."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tcplab
from tcplab.exports import lazily
from tests.support.tiers import processes

ROOT = Path(__file__).resolve().parent.parent

#: What has a compatibility policy; see CONTRIBUTING.
PUBLIC = (
    *("tcplab", "tcplab.protocols", "tcplab.testing"),
    *("tcplab.observers", "tcplab.policies", "tcplab.faults"),
)

#: Code in a page: an indented block behind a directive or a double colon.
_BLOCK = re.compile(r"^( *)(?:\.\. code-block:: python|.*::)\n((?:\n|\1 +.*\n)+)", re.M)


def programs() -> Iterator[tuple[str, str]]:
    """Yield the example programs, and the Python code on the pages."""
    for path in sorted((ROOT / "examples").rglob("*.py")):
        yield path.name, path.read_text("utf-8")
    for path in (ROOT / "README.rst", *(ROOT / "docs").rglob("*.rst")):
        for found in _BLOCK.finditer(path.read_text("utf-8")):
            code = "\n".join(line.removeprefix(found[1]).strip() for line in found[2].splitlines())
            imports = re.findall(r"^(?:import|from) tcplab.*", code, re.M)
            yield path.name, "\n".join(imports)


def imported(code: str) -> Iterator[tuple[str, str]]:
    """Yield the modules of tcplab that code imports from, and the names."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((name.name, "") for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), name.name) for name in node.names)


class PublicTests(SynchronousTestCase):
    def test_everyNameLoads(self) -> None:
        for package in PUBLIC:
            module = importlib.import_module(package)
            self.assertTrue(module.__all__, package)
            self.assertLessEqual(set(module.__all__), set(dir(module)), package)
            self.assertEqual(module.__all__, sorted(set(module.__all__), key=_order), package)
            for name in module.__all__:
                self.assertIsNotNone(getattr(module, name), f"{package}.{name}")

    def test_noOtherNameLoads(self) -> None:
        with self.assertRaises(AttributeError):
            tcplab.Nothing  # noqa: B018

    def test_oneObjectHasOneName(self) -> None:
        """A name that several packages export is the same everywhere."""
        seen: dict[str, object] = {}
        for package in PUBLIC:
            module = importlib.import_module(package)
            for name in module.__all__:
                self.assertIs(seen.setdefault(name, getattr(module, name)), getattr(module, name))

    @processes
    def test_importingTcplabImportsNoTwisted(self) -> None:
        code = "import sys, tcplab; print(*(name for name in sys.modules if 'twisted' in name))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        self.assertEqual((done.stdout.strip(), done.stderr), ("", ""))

    def test_pagesImportWhatIsPublic(self) -> None:
        found = [
            (where, module, name)
            for where, code in programs()
            for module, name in imported(code)
            if module.partition(".")[0] == "tcplab"
        ]
        self.assertGreater(len(found), 20)
        for where, module, name in found:
            self.assertIn(module, PUBLIC, f"{where}: {module} is not public")
            if name:
                public = importlib.import_module(module).__all__
                self.assertIn(name, public, f"{where}: {module}.{name} is not public")


class DeprecationTests(SynchronousTestCase):
    def test_deprecatedNameWarnsAndLoads(self) -> None:
        load = lazily("a.package", {"Lines": "tcplab.wire.framing"}, {"Old": ("0.2", "Lines")})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.assertIs(load("Old"), tcplab.Lines)
        self.assertEqual(
            [(each.category, str(each.message), each.filename) for each in caught],
            [
                (
                    DeprecationWarning,
                    "a.package.Old is deprecated since tcplab 0.2: use a.package.Lines",
                    __file__,
                )
            ],
        )

    def test_otherNamesDoNotWarn(self) -> None:
        load = lazily("a.package", {"Lines": "tcplab.wire.framing"}, {"Old": ("0.2", "Lines")})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertIs(load("Lines"), tcplab.Lines)
        self.assertRaises(AttributeError, load, "Older")


def _order(name: str) -> tuple[bool, str]:
    """Sort as ruff does: constants first, then the rest."""
    return not name.isupper(), name
