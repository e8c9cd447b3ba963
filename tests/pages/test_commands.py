"""Every command in the pages is understood; `tests.pages.test_typed` types those of a lab."""

from __future__ import annotations

import re
import shlex
import shutil
import unittest
from configparser import ConfigParser

from twisted.application.reactors import getReactorTypes
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.commandline import parseOptions
from tcplab.tap import Options
from tests.support.page_session import FOLLOWED
from tests.support.recipes import RECIPES
from tests.support.rst_pages import PAGES, literals, page, simple, terminals
from tests.support.subprocess_server import ROOT, run, scratch
from tests.support.tiers import processes


class UnderstoodTests(SynchronousTestCase):
    """No command in any page is a mere wish."""

    def test_everyCommand(self) -> None:
        typed = [command for recipe in RECIPES.values() for command in recipe.commands]
        for name in PAGES:
            for command in _commands(page(name)):
                if command in typed or name in _TYPED:
                    continue  # by tests.test_contributing, or those of the page
                for each in simple(command):
                    if each != ". .venv/bin/activate":
                        self.understood(each)

    def understood(self, command: str) -> None:
        word, *words = shlex.split(re.sub(r"^[A-Z_]+=\S+ ", "", command), comments=True)
        known = getattr(self, f"understood_{word}", None)
        self.assertIsNotNone(known, f"no test knows {command!r}")
        known(*words)

    def understood_make(self, target: str, *variables: str) -> None:
        text = (ROOT / "Makefile").read_text()
        self.assertRegex(text, rf"(?m)^{target}:", f"make {target}")

    def understood_python3(self, *words: str) -> None:
        self.assertEqual(words, ("-m", "venv", ".venv"))

    def understood_pip(self, *words: str) -> None:
        install, *editable, what = words
        if what == "pytest":
            return
        self.assertEqual((install, *editable), ("install", "-e")[: len(words) - 1])
        extras = re.fullmatch(r"\.(?:\[(\w+)\])?", what)
        assert extras is not None
        if extras[1]:
            self.assertIn(extras[1], _config()["options.extras_require"])

    def understood_trial(self, tests: str) -> None:
        path = ROOT / tests.replace(".", "/")
        self.assertTrue(path.is_dir() or path.with_suffix(".py").exists(), tests)

    def understood_python(self, *words: str) -> None:
        if words[:3] == ("-m", "pytest", "-q"):
            self.assertTrue((ROOT / words[3]).is_dir(), words[3])
        elif words[0] == "-m":
            self.assertIn(words, [("-m", "twisted", "tcplab"), *OF_YOUR_OWN, *_OF_THE_COOKBOOK])
        else:
            examples = ROOT / "examples"
            there = [(each / words[0]).exists() for each in (examples, examples / "cookbook")]
            self.assertIn(True, there, words[0])

    def understood_twistd(self, *words: str) -> None:
        if words == ("--reactor", "eager", "web"):
            self.assertIn("eager", [each.shortName for each in getReactorTypes()])
            return
        if "web" in words:
            serverFromString(MemoryReactor(), words[words.index("--listen") + 1])
            return
        options = words[words.index("tcplab") + 1 :] if words != ("--help",) else words
        if "--help" not in options:
            Options().parseOptions(options)

    def understood_tcplab(self, command: str, *words: str) -> None:
        if command == "serve" and "--help" not in words:
            Options().parseOptions(words)
        elif command == "connect" and "--help" not in words:
            parseOptions(["localhost"] if words == ("HOST",) else list(words))
        else:
            self.assertIn((command, *words), ALONE)

    def understood_printf(self, text: str) -> None: ...

    def understood_openssl(self, *words: str) -> None:
        self.assertEqual(words[:2], ("req", "-x509"))

    def understood_tool(self, *words: str) -> None: ...

    understood_twist = understood_twistd
    understood_pipx = understood_pip
    understood_ruff = understood_pydoctor = understood_mypy = understood_tool

    def test_toolsAreInstalledForChecks(self) -> None:
        for tool in ("ruff", "pydoctor", "mypy"):
            self.assertIn(f"\n{tool}>=", _config()["options.extras_require"]["check"])


#: What ``tcplab`` does without a server.
ALONE = {
    *(("serve", "--help"), ("connect", "--help"), ("chain", "--csv", "names.csv")),
    (
        *("chain", "--csv", "names.csv", "--greeting", "You are connected!"),
        *("--last", "tcp:192.0.2.34:8888"),
    ),
    *(("behaviours",), ("faults",), ("faults", "latency"), ("--help",), ("--version",)),
}

#: Pages whose commands are typed, all of them, by tests of their own.
_TYPED = (
    *("docs/howto/config.rst", "docs/howto/own-plugin.rst", "docs/howto/own-service.rst"),
    *FOLLOWED,
)

OF_YOUR_OWN = [("-m", "twisted.trial", "test_shout"), ("-m", "pytest", "test_shout.py")]

_OF_THE_COOKBOOK = [  # typed by tests.examples.test_cookbook
    ("-m", "http.server", "8000", "--bind", "127.0.0.1"),
    ("-m", "pytest", "test_client.py"),
    ("-m", "unittest", "test_client"),
    ("-m", "unittest", "test_asyncio"),
    ("-m", "twisted.trial", "test_faults"),
]


def _config() -> ConfigParser:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


_BARE = ("tcplab serve", "tcplab connect", "tcplab chain")


def _commands(text: str) -> list[str]:
    """Find what is typed: after a prompt, or in the middle of a sentence."""
    typed = [command for terminal in terminals(text) for command in terminal]
    first = r"(make|trial|twistd|twist|tcplab|python|pip|ruff|pydoctor)"
    inline = [re.sub(r"^\.venv/bin/", "", each) for each in literals(text)]
    inline = [each for each in inline if re.match(rf"{first} (?!.*\[options\])", each)]
    return typed + [each for each in inline if each not in _BARE]


@processes
class MakeTests(SynchronousTestCase):
    def does(self, target: str) -> str:
        if shutil.which("make") is None:
            raise unittest.SkipTest("make is not installed")
        done = run(f"make --dry-run VENV={scratch(self)}/new {target}")
        self.assertEqual(done.returncode, 0, done)
        return done.stdout.decode()

    def test_serveIsThePlainLines(self) -> None:
        does = self.does("serve")
        for part in (
            "-m venv ",
            "installing tcplab into",
            "--editable .\n",
            "tcplab serve --port 50544",
        ):
            self.assertIn(part, does)

    def test_testIsThePlainLines(self) -> None:
        does = self.does("test")
        for part in ("-m venv ", "--editable '.[test]'", "-m tests test "):
            self.assertIn(part, does)
