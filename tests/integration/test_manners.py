"""Every behaviour that the command line knows keeps its manners."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.behaviours import Behaviour
from tcplab.config.behaviourspec import parseSpec
from tcplab.protocols import Forward
from tcplab.testing import checkBehaviour
from tcplab.wire import texts
from tcplab.wire.names import BEHAVIOURS
from tests.support.memory_servers import Echoing

ANYTHING = b"one\ntwo\r\nthree \x00\xff"

EXPECTED: dict[str, bytes | Callable[[bytes], bool]] = {
    "lab": texts.ACK + ANYTHING,
    "greeting": texts.GREETING,
    "ack": texts.ACK,
    "echo": ANYTHING,
    "discard": b"",
    "chargen": lambda value: texts.chargen(0, len(value)) == value and bool(value),
    "qotd": texts.QUOTE,
    "daytime": lambda value: value.endswith(b"\r\n"),
    "time": lambda value: len(value) == 4,
    "whoami": lambda value: value.startswith(b"name=") and value.endswith(b"\n"),
    "relay": b"ack one | bob\nack two | bob\nack three \x00\xff | bob\n",
    "forward": ANYTHING,
}

#: What some of them cannot do without.
SPECS = {"relay": "relay,name=bob", "forward": "forward,to=tcp:localhost:7"}


class MannersTests(SynchronousTestCase):
    """The conformance kit, over all of them."""

    def test_everyBehaviour(self) -> None:
        """Each answers to the last byte, ends, and leaves nothing behind."""
        self.assertEqual(sorted(EXPECTED), sorted(BEHAVIOURS))
        self.patch(Forward, "endpoint", lambda forward: Echoing(forward.transport.reactor))
        for name, expect in EXPECTED.items():
            spec = parseSpec(SPECS.get(name, name))
            checkBehaviour(Behaviour(spec).factory(), ANYTHING, expect)
