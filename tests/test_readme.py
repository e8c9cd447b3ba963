"""The pages say what is: every file, name, option, program and command in them is checked."""

from __future__ import annotations

import importlib
import re
import sys
import unittest
from configparser import ConfigParser
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.commandline import HELP
from tcplab.client.result import Outcome
from tcplab.config.options import OPTIONS
from tcplab.protocols import Conversation
from tcplab.protocols.factory import settingsOf
from tcplab.tap import Options
from tcplab.testing import connected
from tcplab.wire.names import BEHAVIOURS, FRAMINGS
from tcplab.wire.reasons import Reason
from tests.support.recipes import RECIPES
from tests.support.rst_pages import PAGES, literals, page, programs, section, table
from tests.support.subprocess_server import ROOT

README = page("README.rst")


class ValidTests(SynchronousTestCase):
    def test_everyPageIsReStructuredText(self) -> None:
        try:
            from docutils.core import publish_doctree
        except ImportError:
            raise unittest.SkipTest("docutils is not installed") from None
        strictly = {"report_level": 1, "halt_level": 1, "syntax_highlight": "none"}
        for name in PAGES:
            publish_doctree(page(name), name, settings_overrides=strictly)

    def test_everyFileThatIsNamedIsThere(self) -> None:
        for name in PAGES:
            for path in _paths(name):
                self.assertTrue((ROOT / path).exists(), f"{name} names {path}")


def madeUp() -> set[str]:
    """Return the files that a reader of CONTRIBUTING makes."""
    return {path for recipe in RECIPES.values() for path in recipe.files}


def _paths(name: str) -> list[str]:
    """Find what reads like a file of the project, and the targets of links."""
    text = page(name)
    rooms = "tcplab|tests|examples|docs|twisted|benchmarks"
    named = [each for each in literals(text) if re.fullmatch(rf"(?:{rooms})/[\w./]*", each)]
    named += [
        each for each in literals(text) if re.fullmatch(r"[A-Z]+\.rst|LICENSE|\.ci/\w+", each)
    ]
    folder = name.rpartition("/")[0]
    linked = re.findall(r"<(?!http)([\w./]+)>`_", text)
    return sorted({*named, *(f"{folder}/{each}".lstrip("/") for each in linked)} - madeUp())


class NamesTests(SynchronousTestCase):
    """What can be typed is what the tables say."""

    def first(self, title: str, heading: str = "") -> list[str]:
        return [literals(row[0])[0] for row in table(section(README, title), heading)]

    def test_behaviours(self) -> None:
        self.assertEqual(self.first("Behaviours"), list(BEHAVIOURS))

    def test_framings(self) -> None:
        sentence = section(README, "Behaviours").partition("``framing`` is one of")[2]
        self.assertEqual(literals(sentence)[: len(FRAMINGS)], list(FRAMINGS))

    def test_optionsOfTheServer(self) -> None:
        options = Options()
        known = {f"--{name.removesuffix('=')}" for name in options.longOpt if len(name) > 2}
        known |= {f"-{name}" for name in options.shortOpt.replace(":", "")}
        told = {each for row in table(section(README, "The server")) for each in literals(row[0])}
        self.assertEqual(told, {each for each in known if each not in _EVERYWHERE})

    def test_defaultsOfTheServer(self) -> None:
        told = {
            flag: re.findall(r"\[(.+?)\]", row[1])
            for row in table(section(README, "The server"))
            for flag in literals(row[0])
        }
        for option in OPTIONS.values():
            if not option.repeatable:
                self.assertEqual(told[option.flag], re.findall(r"\[(.+?)\]", option.text))

    def test_optionsOfTheClient(self) -> None:
        rows = table(section(README, "The client"), "The options:")
        told = {each for row in rows for each in literals(row[0])}
        self.assertEqual(told, set(re.findall(r"(?<!\S)--?[a-z][\w-]*", HELP)))

    def test_exitCodes(self) -> None:
        rows = table(section(README, "The client"), "The first word")
        told = {literals(row[0])[0]: int(row[1]) for row in rows}
        self.assertEqual(told, {each.name: each.value for each in Outcome})

    def test_everyOptionInTheTextIsOne(self) -> None:
        known = {f"--{name.removesuffix('=')}" for name in Options().longOpt}
        known |= {"--behavior", "--log-format", "--reactor", "--listen"}
        known |= {"--uid", "--gid", "--euid", "--umask"}  # twistd's own
        known |= {"--logfile", "--logger", "--syslog"}
        known |= set(re.findall(r"--[a-z][\w-]*", HELP))
        told = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", README))
        self.assertEqual(told - known, set())

    def test_reasons(self) -> None:
        self.assertEqual(self.first("What the log says"), [str(each) for each in Reason])

    def test_rooms(self) -> None:
        drawn = re.findall(r"^      (\w+)/ ", section(README, "The house"), re.MULTILINE)
        rooms = {each.parent.name for each in (ROOT / "tcplab").glob("*/__init__.py")}
        self.assertEqual(set(drawn), rooms)

    def test_hooksAndSettings(self) -> None:
        own = section(README, "Writing your own")
        for hook in self.first("Writing your own"):
            self.assertTrue(callable(getattr(Conversation, hook)), hook)
        settings = literals(own.partition("Its settings are class attributes:")[2])
        self.assertEqual(sorted(settings[:5]), sorted(settingsOf(Conversation)))

    def test_speed(self) -> None:
        """The figures are those of the last ``make bench``, and the machine is named."""
        results = page("benchmarks/results/table.rst")
        ratios, _ = results.split("\n.. list-table::")
        told = section(README, "Measured")
        self.assertIn(ratios.strip(), told)
        self.assertIn(results.splitlines()[-1], " ".join(told.split()))

    def test_dependencies(self) -> None:
        config = ConfigParser()
        config.read(ROOT / "setup.cfg")
        wanted = config["options"]["install_requires"]
        wanted += "".join(config["options.extras_require"].values())
        text = section(README, "Dependencies")
        told = [
            name
            for each in text.split("\n\n")
            if each.startswith("=")
            for name in (literals(row[0])[0] for row in table(each + "\n\n"))
        ]
        self.assertEqual(sorted(told), sorted(re.findall(r"^[\w\[\]-]+", wanted, re.MULTILINE)))


class LifeTests(SynchronousTestCase):
    """The life of a connection is drawn with the names that are in the code."""

    def setUp(self) -> None:
        self.text = page("docs/life.rst")
        self.classes: dict[str, type] = {}
        for title in ("Accept", "Open", "Converse", "End"):
            for path, has in table(section(self.text, title)):
                name = literals(path)[0].removesuffix(".py").replace("/", ".")
                module = importlib.import_module(name)
                for each in re.findall(r"``([A-Z]\w+)``", has):
                    self.classes[each] = vars(module)[each]
                    self.assertEqual(self.classes[each].__module__, name)

    def test_methods(self) -> None:
        found = re.findall(r"\b([A-Z]\w+)\.(\w+)", self.text)
        self.assertGreater(len(found), 30)
        for name, method in found:
            self.assertTrue(callable(getattr(self.classes[name], method)), f"{name}.{method}")

    def test_classes(self) -> None:
        drawn = re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", self.text)
        self.assertEqual({*drawn} - {*self.classes}, set())


_EVERYWHERE = {"--help", "--version", "-h"}


class ProgramsTests(SynchronousTestCase):
    """Every program in the pages works."""

    def setUp(self) -> None:
        self.patch(sys, "path", [str(ROOT / "examples"), *sys.path])
        self.addCleanup(sys.modules.pop, "shout", None)

    def made(self, name: str) -> Any:
        """Run the program that makes something of this name, and return that."""
        made = re.compile(rf"^(class )?{name}\b", re.MULTILINE)
        (program,) = (each for each in programs(README) if made.search(each))
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile(program, "README.rst", "exec"), names)
        return names[name]

    def test_sixLines(self) -> None:
        peer = connected(self.made("Shout"))
        peer.write(b"hi\nthe")
        self.assertEqual(peer.value(), b"say something\nHI\n")

    def test_sixLinesAreTheExample(self) -> None:
        example = (ROOT / "examples" / "shout.py").read_text()
        for line in programs(README)[0].splitlines():
            self.assertIn(line, example)

    def test_settingsOfAFactory(self) -> None:
        peer = connected(self.made("factory"))
        peer.write(b"hi\r\n")
        self.assertEqual(peer.value(), b"louder\r\nHI\r\n")

    def test_dialogueOfAServer(self) -> None:
        peer = connected(self.made("Recipe"))
        peer.write(b"Ada\n")
        self.assertEqual(peer.value(), b"What is your name?\nHello, Ada!\n")
        self.assertTrue(peer.ended)

    def test_dialogueOfAClient(self) -> None:
        ask = self.made("Ask")()
        peer = connected(ask)
        finished = ask.whenFinished()
        peer.write(b"What is your name?\n")
        self.assertEqual(peer.value(), b"Ada\n")
        peer.finish(b"Hello, Ada!\n")
        self.assertEqual(self.successResultOf(finished), b"Hello, Ada!")

    def test_sharedState(self) -> None:
        room = self.made("ChatRoom")()
        ada, bob = connected(room), connected(room)
        ada.write(b"hi\n")
        self.assertEqual((ada.value(), bob.value()), (b"hi\n", b"hi\n"))
        ada.finish()
        self.assertEqual(len(room.members), 1)

    def passes(self, case: type[unittest.TestCase]) -> None:
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
        self.assertGreater(result.testsRun, 1)
        self.assertEqual([*result.errors, *result.failures], [])

    def test_testsOfYourOwn(self) -> None:
        self.passes(self.made("ShoutTests"))

    def test_aLabInATest(self) -> None:
        result = unittest.TestResult()
        self.made("ClientTests")("test_itTriesAgain").run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (1, [], []))
