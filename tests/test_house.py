"""Tests for the house: its rooms, who may import whom, and the habits that hold everywhere."""

from __future__ import annotations

import ast
import configparser
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import house, walks

ROOT = Path(__file__).resolve().parent.parent
CODE = ROOT / "tcplab"
TESTS = ROOT / "tests"

#: A package imports only from itself and from packages that stand before it.
ROOMS = (
    *("wire", "reactor", "listener", "protocols", "observers", "policies", "faults"),
    *("config", "server", "workers", "client"),
)
#: Except that these know nothing of each other,
STRANGERS = [{"listener", "protocols"}, {"policies", "faults"}]
#: and that the client knows no more than these.
CLIENT = ("wire", "reactor")
#: On top of the house: they may import from every room.
ON_TOP = ("testing", "tap", "windows", "__main__", "__init__")
#: Under the house: how names are imported; every room may do so.
UNDER = ("exports", "importing", "entrypoints")
#: What chooses a reactor; everything else is given one, or takes its connection's. A `Lab` looks
#: the process's up when it starts and was given none.
PROGRAMS = ("tap.py", "__main__.py")
LAB = "tcplab/server/lab.py"

LONGEST_FILE, LONGEST_FUNCTION = 400, 40
#: A file of one class, or a function, may be longer; it stands here with its reason.
LONG = {
    "tcplab/protocols/conversation.py": "Conversation: hooks, verbs, delivery",
    "tcplab/reactor/coalescing.py: doRead": "one send in line: a call more costs 1 % of a request",
    "tcplab/policies/socketoptions.py: setListenOptions": "a table of options with their reasons",
}
#: The modules of a folder, its ``__init__`` aside.
LARGEST_FOLDER = 14
#: Names that two modules give to a public class: Twisted's own there, ours here.
TWICE = {"Options"}

#: What tools leave in the tree: the lock of a running trial is a link to its process's number.
TOOLS = (".git", ".venv", "_trial_temp")


def sources(folder: Path) -> list[Path]:
    """Return the Python files in a folder and below."""
    return sorted(path for path in folder.rglob("*.py") if "_trial_temp" not in path.parts)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()


def broken(folder: Path, rule: Callable[[Path, ast.Module], Iterator[str]]) -> list[str]:
    """Return where a rule is broken, and how."""
    return [
        f"{relative(path)}: {what}" for path in sources(folder) for what in rule(path, parsed(path))
    ]


# The rules: each yields what is wrong with one file


def imported(path: Path, tree: ast.AST) -> Iterator[str]:
    """Yield the full names of the modules, and of what is imported from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).with_suffix("").parts[: -node.level]
                base = ".".join([*package, *filter(None, [base])])
            yield from (f"{base}.{name.name}" for name in node.names)


def room(name: str) -> str | None:
    """Return the room of a module's full name; ``None`` for what is not in the house."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first == "tcplab" else None


def wrongWayImports(path: Path, tree: ast.Module) -> Iterator[str]:
    here = room(".".join(path.relative_to(ROOT).with_suffix("").parts)) or ""
    for name in imported(path, tree):
        there = room(name)
        if there in (None, here, *UNDER) or name == "tcplab.__version__":
            continue
        if here in UNDER and there != "wire":
            yield f"imports {name}, and stands under the house"
        elif there not in ROOMS + ON_TOP:
            yield f"imports {name}, which is in no room"
        elif {here, there} in STRANGERS or (here == "client" and there not in CLIENT):
            yield f"imports {name}: {here} and {there} know nothing of each other"
        elif here in ROOMS and (there not in ROOMS or ROOMS.index(there) > ROOMS.index(here)):
            yield f"imports {name}, which stands behind {here}"


def twistedImports(path: Path, tree: ast.Module) -> Iterator[str]:
    for name in imported(path, tree):
        if name.partition(".")[0] in ("twisted", "zope", "OpenSSL", "asyncio", "socket"):
            yield f"imports {name}"


def importTime(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is done when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from importTime(node)


def globalReactors(path: Path, tree: ast.Module) -> Iterator[str]:
    for name in imported(path, tree):
        if name.startswith("twisted.internet.reactor"):
            yield "imports the global reactor"


def earlyReactors(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in importTime(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from globalReactors(path, ast.Module([node], []))


def tooLong(path: Path, tree: ast.Module) -> Iterator[str]:
    lines = len(path.read_text("utf-8").splitlines())
    if lines > LONGEST_FILE and relative(path) not in LONG:
        yield f"{lines} lines; it has more than one role"


def longFunctions(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > LONGEST_FUNCTION and f"{relative(path)}: {node.name}" not in LONG:
                yield f"{node.name} has {lines} lines"


def plainTests(path: Path, tree: ast.Module) -> Iterator[str]:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    bases = {ast.unparse(base) for node in classes for base in node.bases}
    for name in namesOfTests(tree):
        yield f"{name} is a function: trial runs methods of a TestCase only"
    for node in classes:
        if not node.bases and node.name not in bases:  # nor shared by several TestCases
            for name in namesOfTests(node):
                yield f"{node.name}.{name}: the class is no TestCase"


def namesOfTests(
    node: ast.Module | ast.ClassDef,
    kinds: tuple[type[ast.AST], ...] = (ast.FunctionDef, ast.AsyncFunctionDef),
) -> list[str]:
    named = [each for each in node.body if isinstance(each, kinds)]
    return [each.name for each in named if each.name.startswith("test")]  # type: ignore[attr-defined]


def forgottenCoroutines(path: Path, tree: ast.Module) -> Iterator[str]:
    """A coroutine in a SynchronousTestCase is never awaited, and passes."""
    synchronous = {"SynchronousTestCase"}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if bases and bases <= synchronous:
                synchronous.add(node.name)
                for name in namesOfTests(node, (ast.AsyncFunctionDef,)):
                    yield f"{node.name}.{name} is never awaited"


def sleeps(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
            yield f"line {node.lineno}: sleeps"
    if "time.sleep" in imported(path, tree):
        yield "imports time.sleep"


def danglingLinks(folder: Path) -> list[str]:
    """Return the links below a folder that lead nowhere, without those that tools leave."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(TOOLS)]
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() and not path.exists() and not name.startswith(TOOLS):
                found.append(path.relative_to(folder).as_posix())
    return found


class RoomTests(SynchronousTestCase):
    """Rooms stack."""

    def test_rooms(self) -> None:
        """Every folder with code in it is a room, or stands on top; every file is in one."""
        folders = {path.relative_to(CODE).parts[0] for path in sources(CODE) if path.parent != CODE}
        self.assertLessEqual(folders, {*ROOMS, *ON_TOP})
        files = {path.stem for path in CODE.glob("*.py")}
        self.assertLessEqual(files, {*ON_TOP, *UNDER})

    def test_importRule(self) -> None:
        """A module imports only from rooms that stand before its own."""
        self.assertEqual(broken(CODE, wrongWayImports), [])

    def test_wireIsPure(self) -> None:
        """``wire`` knows bytes and values; no Twisted, no sockets."""
        self.assertEqual(broken(CODE / "wire", twistedImports), [])

    def test_noGlobalReactor(self) -> None:
        """Only the programs import it, and a lab that was given none, when it starts."""
        where = {each.split(":")[0] for each in broken(CODE, globalReactors)}
        self.assertEqual({each for each in where if not each.endswith(PROGRAMS)}, {LAB})
        early = {each.split(":")[0] for each in broken(CODE, earlyReactors)}
        self.assertEqual({each for each in early if not each.endswith(PROGRAMS)}, set())

    def test_packaged(self) -> None:
        """What is installed is what there is."""
        settings = configparser.ConfigParser()
        settings.read(ROOT / "setup.cfg")
        packages = settings["options"]["packages"].split()
        there = [
            ".".join(path.parent.relative_to(ROOT).parts) for path in CODE.rglob("__init__.py")
        ]
        self.assertEqual(sorted(packages), sorted([*there, "twisted.plugins"]))

    def test_pluginsAreNoPackage(self) -> None:
        """An ``__init__.py`` above the plugins would hide Twisted, or the plugins."""
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])


class ModuleTests(SynchronousTestCase):
    """What holds for every module."""

    def test_notTooLong(self) -> None:
        """One role a file, and a function that fits a screen; exceptions are listed and real."""
        self.assertEqual(broken(CODE, tooLong) + broken(CODE, longFunctions), [])
        for each in LONG:
            path, _, function = each.partition(": ")
            source = (ROOT / path).read_text("utf-8")
            self.assertIn(f"def {function}(" if function else "class ", source, each)

    def test_folders(self) -> None:
        """A folder can be overlooked at a glance."""
        folders = Counter(path.parent for path in sources(CODE) if path.name != "__init__.py")
        large = {relative(folder): n for folder, n in folders.items() if n > LARGEST_FOLDER}
        self.assertEqual(large, {})

    def test_noCircles(self) -> None:
        """No modules import each other, whichever way round."""
        code = {relative(path): path.read_text("utf-8") for path in sources(CODE)}
        self.assertEqual(house.circles(code), [])

    def test_noNameTwice(self) -> None:
        """No two modules have the same name, nor two public classes."""
        modules = Counter(
            path.stem for path in sources(CODE) if path.stem not in ("__init__", "__main__")
        )
        classes = Counter(
            node.name
            for path in sources(CODE)
            for node in parsed(path).body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        )
        self.assertEqual([name for name, n in modules.items() if n > 1], [])
        self.assertEqual({name for name, n in classes.items() if n > 1} - TWICE, set())

    def test_everyModuleSaysItsDuty(self) -> None:
        """Its first line does; an empty ``__init__.py`` has none."""
        silent = [
            relative(path)
            for path in sources(CODE)
            if (tree := parsed(path)).body and not ast.get_docstring(tree)
        ]
        self.assertEqual(silent, [])

    def test_noDanglingLinks(self) -> None:
        """A link leads to something: one that does not is a lock that a process has left."""
        self.assertEqual(danglingLinks(ROOT), [])


class TestsTests(SynchronousTestCase):
    """The tests mirror the code, and every one of them runs."""

    #: Tested under another name.
    ELSEWHERE = {
        "tcplab/__main__.py": "tests/test_main.py",
        "tcplab/config/listenersettings.py": "tests/config/test_options.py",
        "tcplab/config/configfile.py": "tests/config/test_sources.py",
        "tcplab/config/tomlfile.py": "tests/config/test_sources.py",
        "tcplab/exports.py": "tests/test_public.py",
        "tcplab/config/errors.py": "tests/config/test_options.py",
        "tcplab/reactor/interfaces.py": "tests/reactor/test_stack.py",
        "tcplab/wire/verbatim.py": "tests/protocols/test_forward.py",
        **{
            f"tcplab/faults/kinds/{kind}.py": "tests/faults/kinds/test_kinds.py"
            for kind in ["half_close", "limit_time", "reset_peer", "slow_close", "stall", "timeout"]
        },
    }

    def test_everyModuleIsTested(self) -> None:
        """Each source module has a test module of its own."""
        untested = []
        for path in sources(CODE):
            if path.name == "__init__.py":
                continue
            source = path.relative_to(CODE)
            usual = f"tests/{(source.parent / f'test_{source.name}').as_posix()}"
            if not (ROOT / self.ELSEWHERE.get(relative(path), usual)).exists():
                untested.append(relative(path))
        self.assertEqual(untested, [])

    def test_everyFolderIsAPackage(self) -> None:
        """Otherwise trial does not look into it."""
        folders = {path.parent for path in sources(TESTS)}
        self.assertEqual([each for each in folders if not (each / "__init__.py").exists()], [])

    def test_noPlainFunctions(self) -> None:
        """pytest runs functions and any class, trial only methods of a TestCase."""
        found = broken(TESTS, plainTests)
        self.assertEqual([each for each in found if "/test_pt_" not in each], [])

    def test_noForgottenCoroutines(self) -> None:
        """A test that is a coroutine is in a TestCase that awaits it."""
        self.assertEqual(broken(TESTS, forgottenCoroutines), [])

    def test_noSleeps(self) -> None:
        """What waits for a time is slow on a fast machine and wrong on a slow one."""
        self.assertEqual(broken(TESTS, sleeps), [])


class RuleTests(SynchronousTestCase):
    """The rules find what they are there to find."""

    def found(
        self, rule: Callable[[Path, ast.Module], Iterator[str]], source: str, path: str = "x.py"
    ) -> int:
        return len(list(rule(CODE / path, ast.parse(source))))

    def test_imports(self) -> None:
        """However they are written, and wherever they stand."""
        for source in (
            "import tcplab.config.options",
            "import os, tcplab.client as c",
            "from tcplab.server import settings",
            "from tcplab.config.options import Settings",
            "from tcplab import server",
            "from ..server.settings import Settings",
            "from .. import server",
            "if TYPE_CHECKING:\n from tcplab.server import settings",
            "def f():\n from tcplab.testing import Peer",
            "from tcplab.policies import admission",
            "from tcplab.elsewhere import x",
        ):
            self.assertEqual(self.found(wrongWayImports, source, "protocols/x.py"), 1, source)
        for source in (
            "from tcplab import __version__",
            "from tcplab.wire.texts import ACK",
            "from tcplab.protocols.echo import Echo",
            "from . import echo",
            "from .echo import Echo",
            "from ..reactor import port",
            "import twisted.internet",
        ):
            self.assertEqual(self.found(wrongWayImports, source, "protocols/x.py"), 0, source)

    def test_order(self) -> None:
        """The ground floor sees nobody; the top sees all."""
        self.assertEqual(self.found(wrongWayImports, "import tcplab.reactor.tls", "wire/x.py"), 1)
        self.assertEqual(self.found(wrongWayImports, "import tcplab.protocols", "server/x.py"), 0)
        self.assertEqual(self.found(wrongWayImports, "import tcplab.client", "server/x.py"), 1)
        self.assertEqual(self.found(wrongWayImports, "import tcplab.protocols", "policies/x.py"), 0)
        self.assertEqual(self.found(wrongWayImports, "import tcplab.protocols", "listener/x.py"), 1)
        self.assertEqual(self.found(wrongWayImports, "import tcplab.faults", "policies/x.py"), 1)
        self.assertEqual(self.found(wrongWayImports, "import tcplab.server", "client/x.py"), 1)
        self.assertEqual(self.found(wrongWayImports, "import tcplab.client", "tap.py"), 0)
        self.assertEqual(self.found(wrongWayImports, "import tcplab.server.x", "testing/x.py"), 0)
        self.assertEqual(self.found(twistedImports, "from twisted.logger import Logger"), 1)

    def test_reactors(self) -> None:
        """However it is imported; a function that runs later does not choose it early."""
        for source in (
            "from twisted.internet import reactor",
            "from twisted.internet import defer, reactor as r",
            "import twisted.internet.reactor",
            "try:\n from twisted.internet import reactor\nexcept E: pass",
            "class C:\n from twisted.internet import reactor",
        ):
            self.assertEqual(self.found(earlyReactors, source), 1, source)
        late = "def f():\n from twisted.internet import reactor"
        self.assertEqual(self.found(globalReactors, late), 1)
        self.assertEqual(self.found(earlyReactors, late), 0)

    def test_tests(self) -> None:
        """Tests that only one of the two runners finds, or that never run."""
        self.assertEqual(self.found(plainTests, "def test_it(): pass"), 1)
        self.assertEqual(self.found(plainTests, "async def test_it(): pass"), 1)
        self.assertEqual(self.found(plainTests, "class T:\n def test_it(self): pass"), 1)
        shared = "class A:\n def test_it(self): pass\nclass T(A, TestCase): pass"
        self.assertEqual(self.found(plainTests, shared), 0)
        self.assertEqual(self.found(plainTests, "class T(TestCase):\n def test_it(s): pass"), 0)
        forgotten = "class T(SynchronousTestCase):\n async def test_it(self): pass\n"
        self.assertEqual(self.found(forgottenCoroutines, forgotten), 1)
        inherited = "class A(SynchronousTestCase): pass\nclass T(A):\n async def test_it(s): pass"
        self.assertEqual(self.found(forgottenCoroutines, inherited), 1)
        awaited = "class T(TestCase):\n async def test_it(self): pass\n"
        self.assertEqual(self.found(forgottenCoroutines, awaited), 0)
        self.assertEqual(self.found(sleeps, "import time\ndef f():\n time.sleep(1)"), 1)
        self.assertEqual(self.found(sleeps, "from time import sleep"), 1)
        self.assertEqual(self.found(sleeps, "import time\ntime.monotonic()"), 0)

    def test_texts(self) -> None:
        """Files that are too long."""
        folder = Path(tempfile.mkdtemp(prefix="tcplab"))
        self.addCleanup(shutil.rmtree, folder)
        for rule, text, wrong in (
            (tooLong, "x = 1\n" * LONGEST_FILE, 0),
            (tooLong, "x = 1\n" * (LONGEST_FILE + 1), 1),
        ):
            path = folder / "text.py"
            path.write_text(text)
            self.assertEqual(len(list(rule(path, parsed(path)))), wrong, text[:40])

    def test_danglingLinks(self) -> None:
        """Links to nothing, wherever they are; not those to a file or of a tool."""
        folder = Path(tempfile.mkdtemp(prefix="tcplab"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "below").mkdir()
        (folder / "_trial_temp.lock").symlink_to("1234")
        (folder / "here").symlink_to("below")
        self.assertEqual(danglingLinks(folder), [])
        (folder / ".lock").symlink_to("1234")
        (folder / "below" / "link").symlink_to("nothing")
        self.assertEqual(danglingLinks(folder), [".lock", "below/link"])


class FigureTests(SynchronousTestCase):
    """The figures count what they say."""

    def test_circles(self) -> None:
        """A circle is found however long it is, through packages, and under TYPE_CHECKING."""
        code = {
            "tcplab/__init__.py": "if TYPE_CHECKING:\n from tcplab.a import A",
            "tcplab/a.py": "from tcplab import __version__\nfrom tcplab.b.c import C\nimport os",
            "tcplab/b/__init__.py": "from tcplab.b.c import C",
            "tcplab/b/c.py": "def f():\n import tcplab.d",
            "tcplab/d.py": "",
        }
        self.assertEqual(house.circles(code), [])
        code["tcplab/d.py"] = "if TYPE_CHECKING:\n from tcplab import a"
        self.assertEqual(house.circles(code), [["tcplab.a", "tcplab.b.c", "tcplab.d"]])
        code["tcplab/d.py"] = "from tcplab.b import C"
        self.assertEqual(house.circles(code), [["tcplab.b", "tcplab.b.c", "tcplab.d"]])

    def test_mixins(self) -> None:
        """A class is a mixin with one user if it is that one's base, and nothing else."""
        mixin, user = "class Half: ...\n", "class Whole(x.Half[int], Base): ...\n"
        for code, found in (
            (mixin + user, ["Half"]),
            (mixin + user + "def f(half: Half) -> Half: ...", ["Half"]),
            (mixin, []),
            (mixin + user + "class Other(Half): ...", []),
            (mixin + user + "half = Half()", []),
            (mixin + user + "isinstance(x, parts.Half)", []),
            (mixin + user + "__all__ = ['Half']", []),
            ("from typing import Protocol\nclass Half(Protocol): ...\n" + user, []),
            ("from twisted.x import Protocol\nclass Half(Protocol): ...\n" + user, ["Half"]),
        ):
            self.assertEqual(house.mixins({"tcplab/a.py": code}), found, code)

    def test_texts(self) -> None:
        """Modules, the largest folder, words and lines."""
        code = {
            "tcplab/__init__.py": "",
            "tcplab/a.py": "getattr(getattr(a, b), c)\ngetattr(d, e)",
            "tcplab/b/c.py": "Any, Anyone\nWho",
            "tcplab/b/d.py": "\n",
        }
        self.assertEqual(len(house.modules(code)), 3)
        self.assertEqual(house.largestFolder(code), 2)
        self.assertEqual(house.linesWith(r"\bgetattr\(", code), 2)
        self.assertEqual(house.occurrences(r"\bAny\b", code), 1)
        self.assertEqual(house.occurrences(house.PERSONS, code), 1)
        self.assertEqual(house.lines(code), 5)

    def test_bounds(self) -> None:
        """A figure may reach its bound, and not pass it."""
        self.assertFalse(house.Figure("x", 3, 3).broken)
        self.assertTrue(house.Figure("x", 3.01, 3).broken)

    def test_walks(self) -> None:
        """Polls in a row are one call; others in a row are as many."""
        names = [walks.POLL, walks.POLL, "doRead", "write", "write", walks.POLL]
        self.assertEqual(walks.counted(names), 5)
