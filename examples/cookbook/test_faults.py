"""Tests of a Twisted client, with the lab in the same process; for trial."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.trial.unittest import TestCase

from tcplab import Lab


class Client(Protocol):  # yours
    def __init__(self):
        self.received, self.ended = b"", Deferred()

    def connectionMade(self):
        self.transport.write(b"abcdefghijklmnopqrstuvwxyz")

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason=connectionDone):
        self.ended.callback(reason.type.__name__)


class ClientTests(TestCase):
    async def test_resetInTheMiddle(self):
        lab = Lab("echo", port=0, reactor=reactor)
        await lab.start()
        self.addCleanup(lab.stop)
        name = lab.faults.add("reset_peer,after=10B")
        endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{lab.port}")
        client = await connectProtocol(endpoint, Client())
        self.assertEqual(await client.ended, "ConnectionLost")
        self.assertEqual(client.received, b"abcdefghij")
        lab.faults.remove(name)  # from here on nothing is broken
