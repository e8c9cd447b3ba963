"""What CONTRIBUTING says takes five minutes, done as it says in a copy of the project."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path
from unittest import SkipTest, TestCase

from tests.support.recipes import RECIPES
from tests.support.subprocess_server import ROOT, Server, commands, lab, run, scratch
from tests.support.tiers import processes, slow

#: What the copy has: all that the tests below read.
_COPIED = ("tcplab", "tests", "twisted", "docs", "examples", "benchmarks", "deploy", "soak")

#: Tests that hold for all parts of a kind: a recipe that leaves out a step fails in one of them.
_EVERYWHERE = (
    *("tests.test_house.RoomTests", "tests.test_house.ModuleTests", "tests.test_house.TestsTests"),
    *("tests.test_public.PublicTests", "tests.test_tap.Words", "tests.config.test_optionparsers"),
    *("tests.pages.test_names", "tests.pages.test_reference.ReferenceTests"),
    *("tests.faults.kinds.test_kinds", "tests.wire.test_names"),
)

#: What the client prints on stdout, its status, and what the server then has in its log.
TRIED = {
    "behaviour": (b"cba\n", 0, "closed by=peer"),
    "fault": (b"aaabbbccc", 0, "fault duplicate at=0"),
    "option": (b"blocked\n", 0, "serving lab"),
    "observer": (b"hi", 0, "[totals] 1 closed: received=2 sent=2"),
}


def _copy(folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "_trial_temp*", "dropin.cache", ".hypothesis")
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in (*ROOT.glob("*.rst"), *ROOT.glob("*.cfg"), *ROOT.glob("*.toml"), ROOT / "Makefile"):
        shutil.copy(path, folder)


@processes
class RecipeTests(TestCase):
    """All five in one copy, since they are parts of different kinds."""

    def setUp(self) -> None:
        self.folder = scratch(self)
        _copy(self.folder)
        for recipe in RECIPES.values():
            recipe.apply(self.folder)

    def does(self, command: str) -> None:
        done = run(f"export PYTHONPATH={self.folder}; {command}", folder=self.folder)
        self.assertEqual(done.returncode, 0, f"{command}: {(done.stdout + done.stderr).decode()}")

    def test_theirTests(self) -> None:
        """Those that they bring, and those that hold for all parts."""
        brought = {name for each in RECIPES.values() for name in each.names() if "test_" in name}
        self.assertEqual(len(brought), len(RECIPES))
        modules = [name.removesuffix(".py").replace("/", ".") for name in sorted(brought)]
        self.does(f"python -m twisted.trial {' '.join((*modules, *_EVERYWHERE))}")

    def test_theirStyle(self) -> None:
        if shutil.which("ruff", path=commands()["PATH"]) is None:
            raise SkipTest("ruff is not installed")
        changed = {name for each in RECIPES.values() for name in each.names() if ".py" in name}
        for command in ("ruff check", "ruff format --check"):
            self.does(f"{command} {' '.join(sorted(changed))}")

    @slow
    def test_triedOut(self) -> None:
        """What is typed at the end of each works."""
        self.assertEqual([kind for kind, each in RECIPES.items() if each.commands], list(TRIED))
        for kind, (printed, status, logged) in TRIED.items():
            serve, ask = (re.sub(r"\.venv/bin/", "", each) for each in RECIPES[kind].commands)
            server = self.start(f"env PYTHONPATH={self.folder} {serve}")
            ask = ask.replace("localhost", f"localhost:{server.port}")
            done = run(f"export PYTHONPATH={self.folder}; {ask}", folder=self.folder)
            self.assertEqual((done.stdout, done.returncode), (printed, status), f"{kind}: {done}")
            # Where there is no lab's own status, twistd ends by the signal.
            self.assertIn(server.stop(), (0, -signal.SIGTERM), server.output)
            self.assertIn(logged, server.output)

    def start(self, command: str) -> Server:
        if "tcplab" in command.split():
            server = lab(command, self.folder)
        else:
            program = self.folder / command.split()[-1]
            program.write_text(program.read_text().replace("port=50544", "port=0"))
            server = Server(command, self.folder, _served)
        self.addCleanup(server.stop)
        return server


def _served(server: Server) -> str:
    found = re.search(r"serving echo on tcp 127\.0\.0\.1:(\d+)", server.output)
    return found[1] if found else ""
