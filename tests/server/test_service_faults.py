"""What goes wrong on purpose in a lab, and what is refused where it listens; on real sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tcplab.config.errors import SettingsError
from tcplab.config.settings import fromWords
from tcplab.listener.events import Connection
from tcplab.observers import Observers
from tcplab.server.drain import Drained
from tcplab.server.service import LabService
from tests.support.lab_service import ServingLab
from tests.support.log_capture import Logged
from tests.support.ports import free
from tests.support.socket_server import Told


class Opened(Told):
    """An observer that waits for somebody to come."""

    def __init__(self) -> None:
        super().__init__()
        self._come: Deferred[None] = Deferred()

    def connectionOpened(self, connection: Connection) -> None:
        super().connectionOpened(connection)
        if not self._come.called:
            self._come.callback(None)

    async def opening(self) -> None:
        """Wait for the first."""
        await self._come


class FaultTests(ServingLab):
    """``--fault``, and ``service.faults``."""

    def lab(self, *faults: str, **words: Any) -> LabService:
        self.told = Opened()
        return super().lab(*faults, observer=self.told, **words)

    async def test_from_the_command_line(self) -> None:
        self.lab("limit_data,bytes=3,conn=2")
        heard = [await self.exchange(b"hello") for _ in range(3)]
        self.assertEqual(heard, [b"hello", b"hel", b"hello"])
        await self.told.ending(3)
        self.assertEqual([each.why for each in self.told.endings], [None, "fault", None])

    async def test_from_a_program(self) -> None:
        service = self.lab()
        name = service.faults.add("corrupt,every=1B,bits=8")
        self.assertEqual([each.name for each in service.faults.list()], [name])
        heard = await self.exchange(b"hello")
        self.assertEqual(len(heard), 5)
        self.assertNotEqual(heard, b"hello")
        service.faults.remove(name)
        self.assertEqual(await self.exchange(b"hello"), b"hello")

    async def test_after_a_restart(self) -> None:
        service = self.lab("limit_data,bytes=2")
        self.assertEqual(await self.exchange(b"hello"), b"he")
        await service.stopService()
        service.startService()
        self.host = service.listeners[0].host
        self.assertEqual(await self.exchange(b"hello"), b"he")

    async def test_a_drain_ends_what_would_not_end(self) -> None:
        """Whoever a fault keeps hanging does not keep us from ending."""
        for fault in "timeout", "timeout,after=2B", "stall", "bandwidth,rate=0":
            service = self.lab(fault)
            exchanging = self.exchange(b"hello")
            await self.told.opening()
            self.assertEqual(await service.drain(), Drained(1, 0), fault)
            self.assertTrue(b"hello".startswith(await exchanging))


class OwnUpstreamTests(Logged, TestCase):
    """A proxy that would be its own upstream is refused when it begins to listen."""

    def test_refused(self) -> None:
        port = free()
        for interface in (":interface=127.0.0.1", ""):
            words = f"forward,to=tcp:127.0.0.1:{port}@tcp:{port}{interface}"
            service = LabService(fromWords(serve=[words]), reactor, Observers())
            problem = str(self.assertRaises(SettingsError, service.startService))
            self.assertIn("where it listens itself", problem)
            self.assertIsNone(service.listeners[0].port)
