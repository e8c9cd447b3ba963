"""Words of the command line, as settings."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.behaviourspec import BehaviourSpec
from tcplab.config.errors import SettingsError
from tcplab.config.options import AMOUNTS
from tcplab.config.settings import ListenerSettings, Settings, fromWords


class FromWords(SynchronousTestCase):
    def endpoints(self, **words: Any) -> list[str]:
        return [listener.endpoint for listener in fromWords(**words).listeners]

    def refused(self, **words: Any) -> str:
        problem = str(self.assertRaises(SettingsError, fromWords, **words))
        self.assertNotIn("\n", problem)
        return problem

    def test_no_words_serve_the_lab_on_50544_to_this_machine_only(self) -> None:
        [listener] = fromWords().listeners
        self.assertEqual(listener.name, "lab")
        self.assertEqual(listener.spec, BehaviourSpec("lab", (), "lab"))
        self.assertEqual(listener.endpoint, "tcp:50544:interface=127.0.0.1:backlog=8192")

    def test_port_interface_and_behaviour(self) -> None:
        [listener] = fromWords(port="0", interface="0.0.0.0", behaviour="echo,a=b").listeners
        self.assertEqual(listener.endpoint, "tcp:0:interface=0.0.0.0:backlog=8192")
        self.assertEqual(listener.spec.arguments, (("a", "b"),))

    def test_interface_of_IPv6_is_quoted(self) -> None:
        self.assertEqual(
            self.endpoints(interface="::1"), ["tcp6:50544:interface=\\:\\:1:backlog=8192"]
        )

    def test_interface_localhost_is_understood(self) -> None:
        self.assertEqual(self.endpoints(interface="localhost"), self.endpoints())

    def test_a_program_may_give_numbers(self) -> None:
        fault = "stall,probability=0.5"
        settings = fromWords(port=7, maxConnections=5, idleTimeout=1.5, seed=3, faults=[fault])
        self.assertEqual(settings.listeners[0].endpoint, "tcp:7:interface=127.0.0.1:backlog=8192")
        self.assertEqual((settings.maxConnections, settings.idleTimeout), (5, 1.5))
        self.assertEqual(settings.seed, 3)
        self.assertIn("--idle-timeout 0", self.refused(idleTimeout=0))
        self.assertIn("--max-connections 1.5", self.refused(maxConnections=1.5))

    def test_what_no_command_line_could_say(self) -> None:
        for words, problem in (
            ({"fault": ["stall"]}, r"no setting 'fault' \(did you mean faults\?\)"),
            ({"idle_timeout": "1"}, r"no setting 'idle_timeout' \(did you mean idleTimeout\?\)"),
            ({"serve": "echo@tcp:0"}, r"serve is 'echo@tcp:0': give a list"),
        ):
            with self.assertRaisesRegex(TypeError, problem):
                fromWords(**words)  # type: ignore[arg-type]

    def test_serve_replaces_the_default_port(self) -> None:
        self.assertEqual(self.endpoints(serve=["echo@tcp:1", "lab@unix:/x"]), ["tcp:1", "unix:/x"])

    def test_serve_beside_a_port(self) -> None:
        found = self.endpoints(port="7", behaviour="echo", interface="::", serve=["lab@tcp:1"])
        self.assertEqual(found, ["tcp6:7:interface=\\:\\::backlog=8192", "tcp:1"])

    def test_repeated_names_are_numbered(self) -> None:
        serve = ["echo@tcp:1", "lab@tcp:2", "echo,framing=lines@tcp:3", "echo@tcp:4"]
        names = [listener.name for listener in fromWords(serve=serve).listeners]
        self.assertEqual(names, ["echo", "lab", "echo-2", "echo-3"])

    def test_behaviour_or_interface_without_a_port_is_refused(self) -> None:
        for option in ("behaviour", "interface"):
            problem = self.refused(serve=["echo@tcp:1"], **{option: "::"})
            self.assertIn(f"--{option} ::", problem)
            self.assertIn("--port 50544", problem)

    def test_port_out_of_range_or_no_number_is_refused(self) -> None:
        for word in ("65536", "-1", "http", "", "٣", "9" * 5000, "1.5", " 1"):
            self.assertIn("from 0 to 65535", self.refused(port=word))

    def test_interface_that_is_no_address_is_refused(self) -> None:
        for word in ("eth0", "", "256.1.1.1", "[::1]", "*"):
            self.assertIn("0.0.0.0 or ::", self.refused(interface=word))

    def test_wrong_SPEC_is_refused_under_its_option(self) -> None:
        self.assertIn("--behaviour 'echo,x'", self.refused(behaviour="echo,x"))
        self.assertIn("--serve 'echo'", self.refused(serve=["echo"]))

    def test_greeting_is_unescaped(self) -> None:
        self.assertEqual(fromWords(greeting=r"hi\n").greeting, b"hi\n")
        self.assertEqual(fromWords(greeting="é").greeting, "é".encode())

    def test_greeting_with_a_wrong_escape_or_empty_is_refused(self) -> None:
        self.assertIn(r"unknown escape \q", self.refused(greeting=r"a\q"))
        self.assertIn("empty", self.refused(greeting=""))

    def test_amounts(self) -> None:
        settings = fromWords(lingerTimeout="0.5", maxPerPeer="3", drainTimeout="none")
        self.assertEqual(settings.lingerTimeout, 0.5)
        self.assertEqual(settings.maxPerPeer, 3)
        self.assertIsNone(settings.drainTimeout)

    def test_wrong_amount_is_refused_under_its_option(self) -> None:
        self.assertIn("--idle-timeout soon: give", self.refused(idleTimeout="soon"))

    def test_amounts_that_were_not_given_have_defaults(self) -> None:
        settings = fromWords(idleTimeout=None, writeTimeout=None, drainDelay=None)
        self.assertEqual(settings, fromWords())

    def test_more_for_a_peer_than_for_all_is_refused(self) -> None:
        self.assertIn(
            "--max-per-peer 3 is above --max-connections 2",
            self.refused(maxPerPeer="3", maxConnections="2"),
        )
        self.assertEqual(fromWords(maxPerPeer="2", maxConnections="2").maxPerPeer, 2)

    def test_proxies(self) -> None:
        settings = fromWords(proxyProtocol="v2", proxyFrom=["10.0.0.0/8", "::1", "unix"])
        self.assertEqual(settings.proxyProtocol, "v2")
        self.assertEqual(settings.proxyFrom, ("10.0.0.0/8", "::1", "unix"))

    def test_proxies_that_make_no_sense_are_refused(self) -> None:
        for version, proxies, because in (
            ("v3", ["10.0.0.1"], "--proxy-protocol v3: give v1, v2, any"),
            ("any", [], "--proxy-protocol any believes nobody: "),
            (None, ["10.0.0.1"], "--proxy-from 10.0.0.1 changes nothing without"),
            ("any", ["10.0.0.1/8"], "--proxy-from 10.0.0.1/8 has host bits set"),
            ("any", ["lab"], "--proxy-from 'lab' does not appear to be"),
        ):
            problem = self.refused(proxyProtocol=version, proxyFrom=proxies)
            self.assertIn(because, problem)

    def test_workers(self) -> None:
        self.assertEqual(fromWords(workers="3").workers, 3)
        self.assertEqual(fromWords(workers="1", maxPerPeer="2").maxPerPeer, 2)
        for words, problem in (
            ({"workers": "0"}, "--workers 0: give a whole number above 0"),
            ({"workers": "none"}, "--workers none"),
            ({"workers": "257"}, "--workers 257: give 256 at most"),
            ({"workers": "2", "maxPerPeer": "3"}, "leave out one of the two"),
        ):
            raised = self.assertRaises(SettingsError, fromWords, **words)  # type: ignore[arg-type]
            self.assertIn(problem, str(raised))

    def test_port_file_becomes_absolute(self) -> None:
        self.assertEqual(fromWords(portFile="p").portFile, os.path.join(os.getcwd(), "p"))
        self.assertIn("empty", self.refused(portFile=""))

    def test_what_was_not_said_is_None(self) -> None:
        settings = fromWords()
        self.assertIsNone(settings.greeting)
        self.assertIsNone(settings.lingerTimeout)
        self.assertIsNone(settings.portFile)
        self.assertIsNone(settings.maxConnections)
        self.assertIsNone(settings.maxPerPeer)
        self.assertIsNone(settings.idleTimeout)


class Values(SynchronousTestCase):
    listener = ListenerSettings("lab", BehaviourSpec("lab"), "tcp:0")

    def test_settings_are_frozen(self) -> None:
        settings = Settings((self.listener,))
        for value, name in ((settings, "greeting"), (self.listener, "name")):
            self.assertRaises(dataclasses.FrozenInstanceError, setattr, value, name, "x")

    def test_nothing_to_serve_is_refused(self) -> None:
        self.assertRaises(SettingsError, Settings, ())

    def test_two_listeners_of_one_name_are_refused(self) -> None:
        self.assertRaises(SettingsError, Settings, (self.listener, self.listener))

    def test_amounts_are_checked(self) -> None:
        for name in AMOUNTS:
            for value in (-1, math.nan, math.inf, True if name.startswith("max") else -0.5):
                problem = self.assertRaises(
                    SettingsError, Settings, (self.listener,), **{name: value}
                )
                self.assertIn(AMOUNTS[name].option, str(problem))
