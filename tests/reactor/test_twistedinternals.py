"""Tests for `tcplab.reactor.twistedinternals`."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType

from twisted.python.versions import Version
from twisted.trial.unittest import SynchronousTestCase

import tcplab
from tcplab.reactor import twistedinternals
from twisted import version

PRIVATE = re.compile(r"_[A-Za-z]\w*\Z")

# Of the standard library, where it documents them or there is no other way, and of the interpreter.
OTHERS = {"_abc_impl", "_asdict", "_exit", "_run_exitfuncs"}

#: What Twisted 25.5 lacks.
NEWER = (
    "twisted.internet.ssl.CertificateOptions._contextForServerName",
    "twisted.internet.unix.Port._bindPath",
    "twisted.protocols._sni.",
)

has = cache(twistedinternals.has)


def packageOf(module: str) -> str:
    return ".".join(module.split(".")[:2])


def listed(package: str) -> set[str]:
    """All names that a package may use, and the private modules that it may import."""
    return {
        name
        for user, owners in twistedinternals.USED.items()
        if packageOf(user) == package
        for owner, names in owners.items()
        for name in (*names.split(), *owner.split("."))
    }


def sources() -> Iterator[tuple[str, str]]:
    """Each module with its text, without the list itself."""
    root = Path(tcplab.__file__).parent
    for path in root.rglob("*.py"):
        module = ".".join(("tcplab", *path.relative_to(root).with_suffix("").parts))
        if module != twistedinternals.__name__:
            yield module, path.read_text()


def definedIn(tree: ast.AST) -> Iterator[str]:
    """The names that a source gives to things of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from [node.attr] if getattr(node.value, "id", None) == "self" else ()


def usedIn(tree: ast.AST) -> Iterator[str]:
    """The names that a source asks objects for, and those that it imports from Twisted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "")[1:] == "etattr":
            yield from (str(each.value) for each in node.args if isinstance(each, ast.Constant))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("twisted"):
            yield from (*(node.module or "").split("."), *(each.name for each in node.names))


def namesIn(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from namesIn(each)


def inheritedBy(kind: type) -> Iterator[tuple[str, str]]:
    """Each name of a base of Twisted's that a class of ours, or a mixin of it, uses or replaces."""
    theirs = [each for each in kind.__mro__ if each.__module__.startswith("twisted")]
    for each in kind.__mro__:
        if not each.__module__.startswith("tcplab."):
            continue
        names = set(vars(each))
        for function in vars(each).values():
            if isinstance(function, FunctionType):
                names |= set(namesIn(function.__code__)) - set(function.__globals__)
        for name in filter(PRIVATE.match, names):
            if any(has(base, name) for base in theirs):
                yield packageOf(each.__module__), name


class UsedTests(SynchronousTestCase):
    def test_thisTwisted(self) -> None:
        """The Twisted that is installed has all that is listed; ``tls:`` for servers is newer."""
        newer = NEWER if version < Version("Twisted", 26, 4, 0) else ()
        for user in twistedinternals.USED:
            gone = [each for each in twistedinternals.missing(user) if not each.startswith(newer)]
            self.assertEqual(gone, [])

    def test_anotherTwisted(self) -> None:
        """What is gone is named: modules, and attributes of classes and of what they make."""
        owners = {
            "twisted.gone": "_a",
            "twisted.internet.gone.Away": "_b",
            "twisted.internet.tcp.Connection": "_aborting _gone dataBuffer _tempDataLen",
        }
        self.patch(twistedinternals, "USED", {"us": owners})
        gone = ["twisted.gone._a", "twisted.internet.gone.Away._b"]
        gone.append("twisted.internet.tcp.Connection._gone")
        self.assertEqual(twistedinternals.missing("us"), gone)

    def test_listIsComplete(self) -> None:
        """No private name of Twisted's is used anywhere that is not in the list."""
        trees = {module: ast.parse(text) for module, text in sources()}
        ours = {name for tree in trees.values() for name in definedIn(tree)} | OTHERS
        found = {
            (packageOf(module), name)
            for module, tree in trees.items()
            for name in usedIn(tree)
            if PRIVATE.match(name) and name not in ours
        }
        for each in pkgutil.walk_packages(tcplab.__path__, "tcplab."):
            if not each.name.endswith("__main__"):
                for kind in vars(importlib.import_module(each.name)).values():
                    if isinstance(kind, type):
                        found |= set(inheritedBy(kind))
        self.assertGreater(len(found), 50)
        unlisted = sorted(
            (package, name)
            for package, name in found
            if name not in listed(package) and name not in OTHERS
        )
        self.assertEqual(unlisted, [])

    def test_listIsNotTooLong(self) -> None:
        """Each name that is listed for a package is used in it."""
        texts: dict[str, str] = {}
        for module, text in sources():
            texts[packageOf(module)] = texts.get(packageOf(module), "") + text
        unused = [
            (user, name)
            for user, owners in twistedinternals.USED.items()
            for names in owners.values()
            for name in names.split()
            if not re.search(rf"\b{name}\b", texts[packageOf(user)])
        ]
        self.assertEqual(unused, [])
