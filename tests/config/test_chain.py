"""Tests for `tcplab.config.chain`."""

from __future__ import annotations

import os
import shlex
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.behaviours import Behaviour
from tcplab.config.behaviourspec import parseSpec
from tcplab.config.chain import readStudents, runChain
from tcplab.config.errors import SettingsError


class ChainTests(SynchronousTestCase):
    def chain(self, names: str, *options: str) -> list[list[str]]:
        """Return the commands for a list, each as its words."""
        handle, path = tempfile.mkstemp(suffix=".csv")
        self.addCleanup(os.unlink, path)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(names)
        lines = runChain(["--csv", path, *options]).splitlines()
        return [shlex.split(line) for line in lines if line and line[0] != "#"]

    def settings(self, command: list[str]) -> dict[str, object]:
        """Return what the behaviour in a command is made with."""
        factory: object = Behaviour(parseSpec(command[-1])).factory()
        return factory.settings  # type: ignore[attr-defined, no-any-return]

    def test_eachLeadsToTheNext(self) -> None:
        """The last one answers, and each waits longer than the one behind it."""
        *relays, client = self.chain("name,host\nada,10.0.0.7\n\nbob, 10.0.0.8, 7\ncy,localhost\n")
        opened = ["tcplab", "serve", "--interface", "0.0.0.0", "--port"]
        self.assertEqual(relays[0][:-2], [*opened, "20551"])
        self.assertEqual(relays[1][:-2], [*opened, "7"])
        self.assertEqual(relays[2][:-2], ["tcplab", "serve", "--port", "20551"])
        self.assertEqual(
            [self.settings(each) for each in relays],
            [
                {"name": "ada", "next": "tcp:10.0.0.8:7", "timeout": 5.2},
                {"name": "bob", "next": "tcp:localhost:20551", "timeout": 5.1},
                {"name": "cy", "timeout": 5.0},
            ],
        )
        self.assertEqual(client, ["tcplab", "connect", "10.0.0.7:20551"])

    def test_onOneMachine(self) -> None:
        """The ports follow each other, but for those that are given."""
        relays = self.chain("ada\nbob\ncy", "--port", "7000", "--timeout", "0.5")[:-1]
        self.assertEqual([each[3] for each in relays], ["7000", "7001", "7002"])
        self.assertEqual(self.settings(relays[0])["timeout"], 0.7)
        relays = self.chain("ada;h;20552\nbob;h\ncy;h")[:-1]
        self.assertEqual([each[5] for each in relays], ["20552", "20551", "20553"])

    def test_anyTextMeansItself(self) -> None:
        name, greeting = "O'Neil \\ a,b=c@d ä", "Hi, all@once\\n"
        last = "tcp:[::1]:7".replace("[::1]", r"\:\:1")
        words = ["--last", last, "--greeting", greeting, "--framing", "stream"]
        relay, client = self.chain(f'"{name}",[fe80::1],7\n', *words)
        self.assertEqual(relay[:6], ["tcplab", "serve", "--interface", "::", "--port", "7"])
        made = self.settings(relay)
        self.assertEqual((made["name"], made["next"]), (name, last))
        self.assertEqual(made["greeting"], b"Hi, all@once\n")
        self.assertEqual(client[-1], "[fe80::1]:7")

    def test_mistakes(self) -> None:
        """Each is one line."""
        for names, options, says in (
            ("", [], "the list is empty"),
            (",10.0.0.7", [], "line 1: write NAME,HOST or"),
            ("ada,h,7,8", [], "line 1: write NAME,HOST or"),
            ("ada,h\nbob,h,70000", [], "line 2: '70000' is no port"),
            ("ada,h\nbob", [], "bob has no host: write bob,HOST"),
            ("ada,h,7\nbob,h,7", [], "ada and bob are both on h:7"),
            ("ada", ["--timeout", "soon"], "--timeout soon: give"),
            ("ada", ["--framing", "line"], "--framing line: use"),
            ("ada", ["--port", "x"], "--port: 'x' is no port"),
            ("ada", ["--post", "7"], "option --post not recognized (did you mean --port?)"),
            ("ada", ["names.csv"], "give the list of names: --csv FILE"),
            ("ada", ["--csv", "/dev/zero"], "--csv /dev/zero: longer than 1 MiB"),
            ("ada", ["--csv", "/nowhere"], "--csv /nowhere: No such file"),
        ):
            with self.subTest(names=names, options=options):
                problem = self.assertRaises(SettingsError, self.chain, names, *options)
                self.assertIn(says, str(problem))
        self.assertRaises(SettingsError, readStudents, '"' + "x" * 200_000)
        self.assertTrue(runChain(["-h"]).startswith("usage: tcplab chain"))
