"""What the page of faults says is what there is."""

from __future__ import annotations

import dataclasses
import re
import socket
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults import KINDS
from tcplab.faults.fault import SIZE_UNITS, TIME_UNITS
from tcplab.faults.spec import COMMON_FIELDS
from tests.support.rst_pages import literals, page, table
from tests.support.subprocess_server import LIMIT, Server, scratch
from tests.support.tiers import processes

FAULTS = page("docs/reference/faults.rst")


@processes
class FaultsTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        rows = table(FAULTS, "The kinds have")
        told = {literals(kind)[0]: fields for kind, fields, _ in rows}
        self.assertEqual(list(told), list(KINDS))
        for name, kind in KINDS.items():
            self.assertEqual(told[name], ", ".join(map(_field, kind.named().values())), name)

    def test_whatAnyFaultMayHave(self) -> None:
        rows = table(FAULTS, "When a fault acts")
        self.assertEqual([literals(row[0])[0] for row in rows], list(COMMON_FIELDS))

    def test_units(self) -> None:
        sentence = FAULTS.partition("In brackets")[2].partition("When a fault acts")[0]
        told = [re.sub(r"[\d ]", "", each) for each in literals(sentence)]
        known = f"{TIME_UNITS}, {SIZE_UNITS}".split(", ")
        self.assertEqual([each for each in told if each not in known], [])

    def test_anyServerCanMisbehave(self) -> None:
        command = next(each for each in literals(FAULTS) if each.startswith("twistd -n web"))
        inner = "tcp:0:interface=127.0.0.1"
        server = Server(command.replace("tcp:8080", inner), scratch(self), _webPort)
        self.addCleanup(server.stop)
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), LIMIT) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(sock.makefile("rb").read(7), b"HTTP/1.")
        self.assertGreaterEqual(time.monotonic() - began, 0.1)


def _field(field: dataclasses.Field[Any]) -> str:
    """Write a field as the table does: its name, its unit, what it is if it is left out."""
    unit = getattr(field.metadata["read"], "keywords", {}).get("bare")
    default = field.default
    shown = int(default) if isinstance(default, float) else default
    left = "" if default is dataclasses.MISSING else f" [{shown}]"
    return f"``{field.name}``{f' {unit}' if unit else ''}{left}"


def _webPort(server: Server) -> str:
    found = re.search(r"Site starting on (\d+)", server.output)
    return found[1] if found else ""
