"""Tests for `tcplab.reactor.sizing`."""

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from tcplab.testing import connected


class ReadSizeTests(SynchronousTestCase):
    """The read size follows what comes."""

    def setUp(self) -> None:
        self.heard: list[bytes] = []
        protocol = Protocol()
        protocol.dataReceived = self.heard.append  # type: ignore[method-assign]
        self.peer = connected(protocol)
        self.sizes: list[int] = []
        original = self.peer.transport.socket.recv

        def recv(size: int) -> bytes:
            self.sizes.append(size)
            return original(size)  # type: ignore[no-any-return]

        self.peer.transport.socket.recv = recv

    def test_grows(self) -> None:
        """It grows while reads are full, up to the limit, and shrinks when they are not."""
        self.peer.write(b"x" * 2**20)
        self.assertEqual(self.sizes[0], 4096)
        self.assertEqual(max(self.sizes), self.peer.transport.readLimit)
        for _ in range(10):
            self.peer.write(b"x")
        self.assertLess(self.sizes[-1], 2 * 4096 + 1)

    def test_slow(self) -> None:
        """Behind a peer that did not read it begins small again: all may have to be held anew."""
        self.peer.write(b"x" * 2**20)
        self.peer.reading = False
        self.peer.transport.cork()
        self.peer.transport.write(b"y" * 2**20)
        self.peer.transport.uncork()
        self.peer.resume()
        self.assertEqual(self.peer.value(), b"y" * 2**20)
        del self.sizes[:]
        self.peer.write(b"x" * 2**20)
        self.assertEqual(self.sizes[0], 16384)

    def test_small(self) -> None:
        """Behind some small messages it is what the interpreter has in its pools."""
        for _ in range(10):
            self.peer.write(b"x" * 64)
        self.assertEqual(self.sizes, [4096] * 9 + [479])

    def test_oneMessage(self) -> None:
        """What would have been one message before is one still, and the next ones are again."""
        for _ in range(10):
            self.peer.write(b"x" * 64)
        del self.sizes[:]
        for size in (479, 480, 2000, 4096):
            self.heard.clear()
            self.peer.write(b"y" * size)
            self.assertEqual(b"".join(self.heard), b"y" * size)
            self.assertEqual(len(self.heard), 1)
        self.assertEqual(self.sizes[:3], [479, 4096 - 479, 4096])
