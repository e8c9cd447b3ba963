"""What goes wrong on purpose in a lab, and what is refused where it listens; on real sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tcplab.config.errors import SettingsError
from tcplab.config.options import fromWords
from tcplab.observers import Observers
from tcplab.server.drain import Drained
from tcplab.server.service import LabService
from tests.support.lab_service import ServingLab
from tests.support.log_capture import Logged
from tests.support.ports import free
from tests.support.socket_server import Told


class FaultTests(ServingLab):
    """``--fault``, and ``service.faults``."""

    def lab(self, *faults: str, **words: Any) -> LabService:
        self.told = Told()
        return super().lab(*faults, observer=self.told, **words)

    async def test_commandLine(self) -> None:
        """The faults are there after a restart too, and connections are numbered on."""
        service = self.lab("limit_data,bytes=3,conn=2", "limit_data,bytes=2,conn=5")
        for part in (b"hel", b"he"):
            heard = [await self.exchange(b"hello") for _ in range(3)]
            self.assertEqual(heard, [b"hello", part, b"hello"])
            await service.stopService()
            service.startService()
            self.host = service.listeners[0].host
        whys = [each.why for each in self.told.endings]
        self.assertEqual(whys, [None, "fault", None] * 2)

    async def test_drain(self) -> None:
        """It ends what a fault would keep without end."""
        for fault in "timeout", "timeout,after=2B", "stall", "bandwidth,rate=0":
            service = self.lab(fault)
            exchanging = self.exchange(b"hello")
            await self.until(lambda: self.told.opened)
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
