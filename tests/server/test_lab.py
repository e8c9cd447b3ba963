"""Tests for `tcplab.server.lab`."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.protocol import Factory, Protocol, ServerFactory
from twisted.trial.unittest import SynchronousTestCase

from tcplab import Dialogue, Lab, ListenerSettings, Observer
from tcplab import SettingsError as Refused
from tcplab.faults import Faults
from tcplab.policies import Policy
from tcplab.protocols import ConversationFactory, Echo
from tests.support.conversations import Shout
from tests.support.lab_service import ServingLab
from tests.support.socket_server import Told
from tests.support.tiers import processes


async def recipe(peer: Dialogue) -> None:
    peer.send(b"name? ")
    peer.send(b"Hello, " + await peer.receive(timeout=10))


MADE: list[Told] = []


class Named(Told):
    """An observer that a lab makes by its name."""

    def __init__(self) -> None:
        super().__init__()
        MADE.append(self)


class Refusing(Policy):
    def admit(self, address: object) -> bytes:
        return b"go away"


class Plain(Protocol):
    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(data[::-1])
        transport.loseConnection()


class LabTests(ServingLab):
    async def answer(self, lab: Lab, number: int = 0) -> bytes:
        """Say hi to one of its listeners, and return the answer."""
        self.host = lab.listeners[number].host
        return await self.exchange(b"hi\n")

    async def test_anythingIsABehaviour(self) -> None:
        """A class, a SPEC, a factory, a coroutine function, a plain Protocol and its Factory."""
        for what, answer in (
            (Shout, b"say something\nHI\n"),
            ("echo", b"hi\n"),
            ("ack,greeting=welcome", b"welcome"),
            (ConversationFactory(Echo, greeting=b"first "), b"first hi\n"),
            (recipe, b"name? Hello, hi\n"),
            (Plain, b"\nih"),
            (Factory.forProtocol(Plain), b"\nih"),
            (None, b"You are connected!hi\n"),
        ):
            async with Lab(what, port=0) as lab:
                self.assertEqual(await self.answer(lab), answer, what)

    async def test_listeners(self) -> None:
        """As texts and as settings; without a port of its own they are all there is."""
        shout = ListenerSettings("loud", Shout, "tcp:0:interface=127.0.0.1")
        lab = Lab(listeners=["echo@tcp:0:interface=127.0.0.1", shout])
        await lab.start()
        self.addCleanup(lab.stop)
        self.assertEqual([each.name for each in lab.listeners], ["echo", "loud"])
        self.assertEqual(await self.answer(lab), b"hi\n")
        self.assertEqual(await self.answer(lab, 1), b"say something\nHI\n")

    async def test_faultsAndConnections(self) -> None:
        async with Lab("echo", port=0, faults=["limit_data,bytes=1B,conn=1"]) as lab:
            connections = lab.connections
            self.assertEqual(await self.answer(lab), b"h")
            name = lab.faults.add("limit_data,bytes=2B")
            self.assertEqual([each.name for each in lab.faults.list()][1:], [name])
            self.assertEqual(await self.answer(lab), b"hi")
            lab.faults.remove(name)
            self.assertEqual(await self.answer(lab), b"hi\n")
            await lab.whenEmpty()
            endings = [each.ending and each.ending.why for each in connections]
            self.assertEqual(endings, ["fault", "fault", None])

    async def test_observersAndSettings(self) -> None:
        observer = Told()
        named = f"{__name__}.Named"
        lab = Lab("lab", port=0, observers=[observer, named], greeting=b"hi ", idleTimeout=60.0)
        await lab.start()
        self.assertEqual(await self.answer(lab), b"hi hi\n")
        await lab.stop()
        self.assertEqual([len(each.opened) for each in (observer, *MADE)], [1, 1])
        self.assertEqual(lab.settings.idleTimeout, 60.0)

    async def test_policies(self) -> None:
        """They watch each listener, again after a new start; a lab itself is none."""
        policy = Refusing()
        lab = Lab("echo", port=0, policies=[policy])
        for _ in range(2):
            async with lab:
                self.assertEqual(await self.answer(lab), b"go away")
            self.assertEqual(policy.listeners, ())
        for each in (policy, Faults()):
            error = str(self.assertRaises(TypeError, each.watch, lab))
            self.assertIn("is no listener: watch each of lab.listeners, or give", error)

    async def test_startsAgain(self) -> None:
        lab = Lab("echo", port=0)
        for _ in range(2):
            self.assertIs(await lab.start(), lab)
            self.assertEqual(await self.answer(lab), b"hi\n")
            self.assertEqual(await lab.stop(), (0, 0))
            problem = str(self.assertRaises(RuntimeError, lambda: lab.port))
            self.assertIn("the lab has stopped: await lab.start() first", problem)

    async def test_isAService(self) -> None:
        application = MultiService()
        lab = Lab("echo", port=0)
        lab.setServiceParent(application)
        application.privilegedStartService()
        application.startService()
        self.assertEqual(await self.answer(lab), b"hi\n")
        await application.stopService()
        self.assertFalse(lab.running)

    async def test_portInUse(self) -> None:
        async with Lab("echo", port=0) as lab:
            with self.assertRaisesRegex(Refused, "is in use on .* choose with port=0"):
                await Lab("echo", port=lab.port).start()

    async def test_noCycle(self) -> None:
        """Nothing of a connection that has ended is left to the garbage collector."""
        made: list[weakref.ref[Echo]] = []

        class Noted(Echo):
            def connectionMade(self) -> None:
                made.append(weakref.ref(self))

        gc.disable()
        self.addCleanup(gc.enable)
        async with Lab(Noted, port=0) as lab:
            await self.answer(lab)
            await lab.whenEmpty()
            await self.turns()
        self.assertEqual([each() for each in made], [None])

    async def test_pauses(self) -> None:
        """A client waits in the listen queue while the lab is suspended."""
        async with Lab("echo", port=0) as lab:
            lab.suspend()
            self.host = lab.listeners[0].host
            client = self.client()
            client.sendall(b"hi")
            await self.turns()
            self.assertEqual(len(lab.connections), 0)
            lab.resume()
            self.assertEqual(await self.heard(client), b"hi")
            self.assertEqual(lab.abort(), 1)


async def alone() -> None: ...


class RefusalTests(SynchronousTestCase):
    def test_mistakes(self) -> None:
        """Each is one line that names what is wrong as it is named in Python."""
        for values, text in (
            ({"what": "eccho"}, "there is no behaviour eccho (did you mean echo?)"),
            ({"behaviour": "eccho"}, "there is no behaviour eccho (did you mean echo?)"),
            ({"what": Echo()}, "give the class, not Echo()"),
            ({"idleTimeout": 0}, "idleTimeout 0: give"),
            ({"faults": ["reset"]}, "there is no fault 'reset'"),
            ({"what": 5}, "5: give a SPEC as text, a Protocol class"),
            ({"workers": 2}, "workers: a Lab is one process"),
            ({"observers": Observer()}, "give a list, as in observers=[LogObserver()]"),
            ({"observers": ["cuont"]}, "there is no observer cuont"),
            ({"observers": [Observer]}, "observers Observer: give an object, Observer()"),
            ({"observers": [3]}, "observers 3: give an object with a hook of Observer"),
            ({"portFile": "x"}, "portFile: a Lab is one process"),
            ({"policies": Policy()}, "give a list, as in policies=[Limits()]"),
            ({"policies": [Policy]}, "give Policy()"),
            ({"what": alone}, "alone takes one argument, its conversation: write async def alone("),
            ({"what": Factory}, "Factory has no protocol to build: give the Protocol class itself"),
            ({"what": Factory()}, "Factory has no protocol to build: give the Protocol class itse"),
            ({"what": ServerFactory}, "ServerFactory has no protocol to build"),
        ):
            given: dict[str, Any] = values
            problem = str(self.assertRaises(Refused, Lab, **given))
            self.assertIn(text, problem)
            self.assertNotIn("\n", problem)

    def test_unknownSetting(self) -> None:
        problem = str(self.assertRaises(TypeError, Lab, "echo", idletimeout=5))
        self.assertIn("idleTimeout", problem)

    def test_notStarted(self) -> None:
        """What needs a started lab says so."""
        lab = Lab("echo", port=0)
        for name in ("port", "listeners", "faults", "connections"):
            problem = str(self.assertRaises(RuntimeError, getattr, lab, name))
            self.assertIn("await lab.start() first", problem)
        self.assertEqual(self.successResultOf(lab.stop()), (0, 0))
        self.assertIsNone(self.successResultOf(lab.stopService()))

    @processes
    def test_noReactorUntilItStarts(self) -> None:
        """A lab can be made before a reactor is chosen."""
        code = (
            "import sys; from tcplab import Lab; Lab('echo', port=0);"
            " print('twisted.internet.reactor' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        self.assertEqual((done.stdout.strip(), done.stderr), ("False", ""))
