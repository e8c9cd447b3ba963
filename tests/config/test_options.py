"""Tests for `tcplab.config.options`."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.behaviourspec import BehaviourSpec
from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import ListenerSettings
from tcplab.config.options import OPTIONS, SETTINGS, Settings, fromWords
from tcplab.faults import FaultSpec, parseFault
from tcplab.protocols import Echo
from tests.support.tiers import processes

# What a first process of the former layout starts its workers with.
_OLD_WORDS = """{"port": "0", "interface": null, "behaviour": "echo,framing=lines",
"serve": ["lab@tcp:0"], "greeting": null, "portFile": "/run/ports",
"faults": ["stall,probability=0.5"], "seed": "7", "proxyProtocol": "any",
 "proxyFrom": ["10.0.0.0/8"], "maxConnections": "100",
"maxPerPeer": null, "idleTimeout": "60", "handshakeTimeout": "none", "writeTimeout": null,
"lingerTimeout": null, "drainDelay": null, "drainTimeout": null, "workers": "2"}"""


class FromWordsTests(SynchronousTestCase):
    def endpoints(self, **words: Any) -> list[str]:
        return [listener.endpoint for listener in fromWords(**words).listeners]

    def refused(self, problem: str, **words: Any) -> None:
        raised = str(self.assertRaises(SettingsError, fromWords, **words))
        self.assertIn(problem, raised)
        self.assertNotIn("\n", raised)

    def test_noWords(self) -> None:
        """The lab is served on 50544, to this machine only."""
        settings = fromWords()
        endpoint = "tcp:50544:interface=127.0.0.1:backlog=8192"
        lab = ListenerSettings("lab", BehaviourSpec("lab", (), "lab"), endpoint)
        self.assertEqual(settings, Settings((lab,)))
        for name in ("greeting", "lingerTimeout", "portFile", "maxConnections", "workers", "seed"):
            self.assertIsNone(getattr(settings, name))

    def test_wordsThatWereNotGiven(self) -> None:
        self.assertEqual(fromWords(idleTimeout=None, drainDelay=None, faults=[]), fromWords())

    def test_wordsOfTheFormerLayout(self) -> None:
        """A lab that is updated while it runs restarts its workers with the words it has."""
        words = json.loads(_OLD_WORDS)
        settings = fromWords(**words)
        self.assertEqual([each.name for each in settings.listeners], ["echo", "lab"])
        self.assertEqual((settings.idleTimeout, settings.handshakeTimeout), (60.0, None))
        self.assertEqual((settings.seed, settings.workers), (7, 2))
        self.assertLessEqual({*words}, {*OPTIONS})

    def test_interface(self) -> None:
        for word, endpoint in (
            ("0.0.0.0", "tcp:7:interface=0.0.0.0"),
            ("::1", "tcp6:7:interface=\\:\\:1"),
            ("[::1]", "tcp6:7:interface=\\:\\:1"),
            ("localhost", "tcp:7:interface=127.0.0.1"),
        ):
            found = self.endpoints(port="7", interface=word)
            self.assertEqual(found, [f"{endpoint}:backlog=8192"])
        for word in ("eth0", "", "256.1.1.1", "[::1", "*"):
            self.refused(f"--interface {word}: give an address of this machine", interface=word)
        advice = "write --interface 10.0.0.1 --port 80"
        self.refused(f"--interface 10.0.0.1:80: {advice}", interface="10.0.0.1:80")

    def test_serve(self) -> None:
        """It replaces the default port, and stands behind one that is given."""
        serve = ["echo@tcp:1", "lab@unix:/x"]
        self.assertEqual(self.endpoints(serve=serve), ["tcp:1", "unix:/x"])
        found = fromWords(port="7", behaviour="echo,framing=lines", serve=serve).listeners
        names = [(each.name, each.spec.name, each.option) for each in found]
        wanted = ("echo", "echo", ""), ("echo-2", "echo", "--serve echo@tcp:1")
        self.assertEqual(names, [*wanted, ("lab", "lab", "--serve lab@unix:/x")])
        self.assertEqual(found[0].spec.arguments, (("framing", "lines"),))

    def test_numbers(self) -> None:
        """A program may give numbers."""
        settings = fromWords(port=7, maxConnections=5, idleTimeout=1.5)
        self.assertEqual(settings, fromWords(port="7", maxConnections="5", idleTimeout="1.5"))
        self.refused("--max-connections 1.5: give", maxConnections=1.5)

    def test_values(self) -> None:
        settings = fromWords(
            greeting=r"hi\n", portFile="p", proxyProtocol="v2", proxyFrom=["::1", "unix"]
        )
        self.assertEqual(settings.greeting, b"hi\n")
        self.assertEqual(settings.portFile, os.path.join(os.getcwd(), "p"))
        self.assertEqual((settings.proxyProtocol, settings.proxyFrom), ("v2", ("::1", "unix")))

    def test_mistakes(self) -> None:
        for word in ("65536", "-1", "http", "", "٣", "9" * 5000, "1.5", " 1"):
            self.refused(f"--port {word}: a port is a number from 0 to 65535", port=word)
        for name, word, problem in (
            ("behaviour", "echo,x", "--behaviour 'echo,x': 'x' should read x=value"),
            ("serve", ["echo"], "--serve 'echo' has no @"),
            ("greeting", r"a\q", r"--greeting a\q: unknown escape \q"),
            ("greeting", "", "--greeting is empty: give a text, or use --behaviour echo"),
            ("portFile", "", "--port-file is empty: give the name"),
            ("idleTimeout", "soon", "--idle-timeout soon: give a number of seconds above 0"),
            ("workers", "257", "--workers 257: give 256 at most; as many as there are cores is"),
            ("workers", "none", "--workers none: give a whole number above 0"),
            ("seed", "1" * 19, "give a whole number from 0 up, of 18 digits at most"),
            ("proxyProtocol", "v3", "--proxy-protocol v3: give v1, v2, any"),
            ("proxyFrom", ["10.0.0.1/8"], "--proxy-from 10.0.0.1/8 has host bits set"),
            ("proxyFrom", ["lab"], "--proxy-from 'lab' does not appear to be"),
            (
                "faults",
                ["latncy"],
                "--fault 'latncy': there is no fault 'latncy' (did you mean lat",
            ),
        ):
            self.refused(problem, **{name: word})

    def test_whatNoCommandLineCouldSay(self) -> None:
        for words, problem in (
            ({"fault": ["stall"]}, r"no setting 'fault' \(did you mean faults\?\)"),
            ({"idle_timeout": "1"}, r"no setting 'idle_timeout' \(did you mean idleTimeout\?\)"),
            ({"serve": "echo@tcp:0"}, r"serve is 'echo@tcp:0': give a list"),
        ):
            with self.assertRaisesRegex(TypeError, problem):
                fromWords(**words)  # type: ignore[arg-type]


async def talk(dialogue: object) -> None: ...


class ValuesTests(SynchronousTestCase):
    listener = ListenerSettings("lab", "lab", "tcp:0")

    def refused(self, problem: str, **values: Any) -> None:
        raised = str(self.assertRaises(SettingsError, Settings.of, **values))
        self.assertTrue(raised.startswith(problem), raised)
        self.assertNotIn("\n", raised)
        if {*values} <= {*SETTINGS}:
            again = self.assertRaises(SettingsError, Settings, (self.listener,), **values)
            self.assertEqual(str(again), raised)

    def test_asIfTheyWereTyped(self) -> None:
        self.assertEqual(Settings.of(), fromWords())
        self.assertEqual(
            Settings.of(
                "echo,framing=lines",
                port=0,
                interface="::1",
                greeting=b"hi\n",
                idleTimeout=60.0,
                handshakeTimeout=None,
                maxConnections=9,
                faults=["latency,latency=100", parseFault("stall,probability=0.5")],
                seed=3,
                proxyProtocol="any",
                proxyFrom=["unix"],
            ),
            fromWords(
                behaviour="echo,framing=lines",
                port="0",
                interface="::1",
                greeting=r"hi\n",
                idleTimeout="60",
                handshakeTimeout="none",
                maxConnections="9",
                faults=["latency,latency=100", "stall,probability=0.5"],
                seed="3",
                proxyProtocol="any",
                proxyFrom=["unix"],
            ),
        )

    def test_listeners(self) -> None:
        own = ListenerSettings("mine", Echo, "tcp:2"), ListenerSettings("echo", "echo", "tcp:3")
        found = Settings.of(talk, port=0, listeners=["echo@tcp:1", *own]).listeners
        self.assertEqual([each.name for each in found], ["talk", "echo", "mine", "echo-2"])
        self.assertEqual([each.endpoint for each in found[1:]], ["tcp:1", "tcp:2", "tcp:3"])
        self.assertEqual(found[1].option, "listeners echo@tcp:1")
        self.assertEqual(found[2].option, "listeners mine")
        self.assertIs(found[0].spec.served, talk)
        self.assertEqual(len(Settings.of(listeners=own).listeners), 2)

    def test_faultsBecomeSpecs(self) -> None:
        settings = Settings((self.listener,), faults=["stall"])  # type: ignore[arg-type]
        self.assertIsInstance(settings.faults[0], FaultSpec)

    def test_mistakes(self) -> None:
        for name, value, problem in (
            ("port", "80", "port '80': a port is a number from 0 to 65535"),
            ("interface", 3, "interface 3: give a text"),
            ("behaviour", "a b", "behaviour 'a b' begins with no name"),
            ("listeners", "echo@tcp:0", "listeners 'echo@tcp:0': give a list"),
            ("listeners", ["echo"], "listeners 'echo' has no @"),
            ("listeners", [3], "listeners 3: give a text or a ListenerSettings"),
            ("greeting", "hi", "greeting 'hi': give bytes"),
            ("faults", "stall", "faults 'stall': give a list, as in faults=['stall']"),
            ("faults", ["x"], "faults 'x': there is no fault 'x'"),
            ("seed", "3", "seed '3': give a whole number"),
            ("drainDelay", None, "drainDelay None: give a number of seconds from 0 up"),
            ("idleTimeout", "60", "idleTimeout '60': give a number of seconds above 0, as in"),
            ("idleTimeout", math.nan, "idleTimeout nan: give"),
            ("maxPerPeer", True, "maxPerPeer True: give a whole number"),
        ):
            self.refused(problem, **{name: value})
        for name in ("idle_timeout", "serve"):
            with self.assertRaisesRegex(TypeError, f"there is no setting '{name}'"):
                Settings.of(**{name: 1})

    def test_listenersOfSettings(self) -> None:
        for listeners, problem in (
            ((), "nothing to serve: give port or listeners"),
            ((self.listener, self.listener), "two listeners have the same name: lab, lab"),
            (("echo@tcp:0",), "listeners 'echo@tcp:0': give ListenerSettings"),
        ):
            raised = self.assertRaises(SettingsError, Settings, listeners)
            self.assertEqual(str(raised), problem)

    def test_listenerSettings(self) -> None:
        self.assertEqual(self.listener.spec, BehaviourSpec("lab", (), "lab"))
        for values, problem in (
            (("a b", "lab", "tcp:0"), "name 'a b': give a word"),
            (("lab", "a b", "tcp:0"), "spec 'a b' begins with no name"),
            (("lab", "lab", ""), "endpoint '': give a text, as in 'tcp:8888'"),
        ):
            raised = self.assertRaises(SettingsError, ListenerSettings, *values)
            self.assertTrue(str(raised).startswith(problem), str(raised))

    def test_replace(self) -> None:
        settings = dataclasses.replace(Settings((self.listener,), seed=None), idleTimeout=3)
        self.assertEqual(settings, Settings((self.listener,), idleTimeout=3))
        with self.assertRaisesRegex(SettingsError, "idleTimeout 0: give"):
            dataclasses.replace(settings, idleTimeout=0)

    def test_frozen(self) -> None:
        for value, name in ((Settings((self.listener,)), "greeting"), (self.listener, "name")):
            self.assertRaises(dataclasses.FrozenInstanceError, setattr, value, name, "x")


class ImportsTests(SynchronousTestCase):
    @processes
    def test_whatIsConfiguredIsNotImported(self) -> None:
        """Settings can be made before the code of behaviours, policies and faults is there."""
        code = (
            "import sys, tcplab.wire.names; from tcplab.config.options import fromWords\n"
            "fromWords(behaviour='echo', proxyProtocol='v1', proxyFrom=['unix'])\n"
            "print(*sys.modules)"
        )
        command = [sys.executable, "-c", code]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        for name in ("protocols", "policies", "listener", "faults.kinds", "faults.pipeline"):
            self.assertNotIn(f"tcplab.{name}", found)
