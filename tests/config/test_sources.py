"""Tests for `tcplab.config.sources`, `tcplab.config.configfile` and `tcplab.config.tomlfile`."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.config.optionparsers import Words
from tcplab.config.sources import Sources
from tests.support.user_modules import standIn

FILE = r"""
max-connections = 100
idle-timeout = 0.5
port-file = "ports"
greeting = "hi\n"
fault = ["stall,after=5B"]

[[listeners]]
behaviour = "forward,to=unix:back\\,end,name=x"
endpoint = "limit:max=5:unix:front"

[[listeners]]  # the second
endpoint = "ssl:0:privateKey=key.pem"
behavior = "lab"

[[faults]]
kind = "latency"
latency = 1.5
listener = "lab"

[[faults]]
kind = "limit_data"
match = "a,b=\\n"
bytes = "2B"
"""


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = standIn(self)
        os.makedirs("etc")

    def write(self, text: str) -> None:
        with open("etc/lab.toml", "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, typed: dict[str, Words], **environment: str) -> Any:
        return Sources({"config": "etc/lab.toml", **typed}, environment).read()

    def test_everything(self) -> None:
        """Each option by its long name; paths are relative to the file."""
        self.write(FILE.replace("latency = 1.5", 'latency = "1.5s"'))
        here = f"{self.folder}/etc"
        self.assertEqual(
            self.read({"greeting": None, "serve": []}).words,
            {
                "maxConnections": "100",
                "idleTimeout": "0.5",
                "portFile": f"{here}/ports",
                "greeting": "hi\n",
                "faults": [
                    "stall,after=5B",
                    "latency,latency=1.5s@lab",
                    r"limit_data,match=a\,b\=\n,bytes=2B",
                ],
                "serve": [
                    rf"forward,to=unix:{here}/back\,end,name=x@limit:max=5:unix:{here}/front",
                    f"lab@ssl:0:privateKey={here}/key.pem",
                ],
            },
        )

    def test_order(self) -> None:
        """The command line, then the environment, then the file."""
        self.write("port = 1\nidle-timeout = 1\nwrite-timeout = 1\nserve = ['echo@tcp:1']")
        words = self.read({"port": "3"}, TCPLAB_PORT="2", TCPLAB_IDLE_TIMEOUT="2").words
        expected = {"port": "3", "idleTimeout": "2", "writeTimeout": "1", "serve": ["echo@tcp:1"]}
        self.assertEqual(words, expected)
        self.assertEqual(Sources({}, {"TCPLAB_CONFIG": "etc/lab.toml"}).read().words["port"], "1")
        self.write("port = 4")
        self.assertEqual(self.read({}).words, {"port": "4"})

    def test_refused(self) -> None:
        """In one line, which names the place."""
        for text, problem in (
            ("port = 1\nprot = 2", "etc/lab.toml, line 2: there is no option prot (did you mean"),
            ("[lisseners]\n", "etc/lab.toml, line 1: there is no option lisseners (did you mean l"),
            ("port = 99999", "etc/lab.toml, line 1: port 99999: a port is a number from 0 to"),
            ("\nport = true", "etc/lab.toml, line 2: port is True: give a text or a number"),
            ('\nlog-file = "\\u0000b"', "line 2: log-file has a NUL character: leave it out"),
            ("fault = " + "[" * 100000, "etc/lab.toml is nested too deeply: mend the TOML"),
            ("serve = 'x@tcp:1'", "line 1: serve takes a list: write serve = ['x@tcp:1']"),
            ("port = ", "etc/lab.toml, at its end: Invalid value: mend the TOML"),
            ("port = x\n", "etc/lab.toml, line 1: Invalid value: mend"),
            ("config = 'x'", "line 1: there is no option config"),
            ("[listeners]", "line 1: write [[listeners]] above the keys of each"),
            ("listeners = 3", "line 1: write [[listeners]] above"),
            ("[[listeners]]\nendpoint = 'tcp:1'", "line 1: [[listeners]] needs behaviour = ..."),
            (
                "[[listeners]]\nbehaviour = 'lab'\nendpoint = 'tcp:1'\n"
                "[[listeners]]\nbehaviour = 'echo'\nendpiont = 'tcp:0'",
                "line 6: [[listeners]] has no endpiont (did you mean endpoint?): it has behaviour",
            ),
            ("[[listeners]]\nbehaviour = 'a b'\nendpoint = 'tcp:1'", "line 2: 'a b' begins"),
            (
                "[[faults]]\nkind = 'latency'\nlatncy = 5",
                "line 3: latency has no latncy (did you mean latency?): it has kind, listener",
            ),
            ("[[faults]]\nkind = 'latncy'", "etc/lab.toml, line 2: fault 'latncy': there is no f"),
            ("[[faults]]\nkind = 'latency'\nlatency = 'x'", "line 2: fault 'latency,latency=x': "),
            ("[[faults]]\nkind='latency'\nlatency=5\nlistener='x'", "etc/lab.toml: [[faults]] l"),
            ("behaviour = 'lab'\n[[listeners]]\nbehaviour = 'lab'\nendpoint = 'tcp:1'",
             "etc/lab.toml, line 1: behaviour lab belongs to --port"),
        ):  # fmt: skip
            self.write(text)
            error = str(self.assertRaises(SettingsError, self.read, {}))
            self.assertIn(problem, error)
            self.assertNotIn("\n", error)
        with open("etc/lab.toml", "wb") as file:
            file.write(b"\xff")
        for path, problem in (
            ("etc/lab.toml", "etc/lab.toml is not UTF-8"),
            ("etc", "cannot read etc: Is a directory: name a TOML file"),
            ("/dev/zero", "/dev/zero is larger than 1 MiB"),
        ):
            error = str(self.assertRaises(SettingsError, self.read, {"config": path}))
            self.assertIn(problem, error)
        error = str(self.assertRaises(SettingsError, Sources({}, {"TCPLAB_PORT": "x"}).read))
        self.assertTrue(error.startswith("TCPLAB_PORT x: a port is"), error)
