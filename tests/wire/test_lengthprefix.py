"""Netstrings and Int32, one by one; what holds for all framings is in test_pieces."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import Int32StringReceiver, NetstringReceiver
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.framing import IncompleteMessage, MessageTooLong
from tcplab.wire.lengthprefix import Int32, NetstringError, Netstrings
from tests.support.framing_strategies import outcome, pieces


class NetstringsTests(SynchronousTestCase):
    """https://cr.yp.to/proto/netstrings.txt"""

    def test_theSpecificationsOwnExamples(self) -> None:
        hello = bytes.fromhex("31 32 3a 68 65 6c 6c 6f 20 77 6f 72 6c 64 21 2c")
        self.assertEqual(Netstrings.frame(b"hello world!"), hello)
        self.assertEqual(outcome(Netstrings(), [hello + b"0:,"]), ([b"hello world!", b""], None))
        self.assertEqual(Netstrings.frame(b""), b"0:,")

    def test_whatIsNoNetstring(self) -> None:
        for data in (
            b":,",  # the empty string's length is 0, not nothing
            b"05:hello,",
            b"00:,",
            b"-1:x,",
            b"+1:x,",
            b" 5:hello,",
            b"5 :hello,",
            b"5hello,",
            b"hello",
            b"\n",
            b"1\n:x,",
            b"\xb2:ab,",
        ):
            self.assertEqual(outcome(Netstrings(), [data])[1][0], NetstringError, data)

    def test_nothingMayStandBetweenTwo(self) -> None:
        told, error = outcome(Netstrings(), [b"1:a,\n1:b,"])
        self.assertEqual((told, error[0]), ([b"a"], NetstringError))

    def test_theCommaIsRequired(self) -> None:
        told, error = outcome(Netstrings(), [b"1:a;"])
        self.assertEqual((told, error[0]), ([], NetstringError))
        self.assertIn("comma", error[1])

    def test_theLengthIsCheckedBeforeTheStringIsRead(self) -> None:
        for data in (b"65537:", b"65537", b"100000", b"9" * 100_000):
            netstrings = Netstrings()
            netstrings.feed(data)
            self.assertRaises(MessageTooLong, netstrings.next)

    def test_theLongest(self) -> None:
        message = b"x" * 65536
        self.assertEqual(outcome(Netstrings(), [Netstrings.frame(message)]), ([message], None))

    def test_cutShort(self) -> None:
        for end in range(1, len(b"5:hello,")):
            self.assertEqual(outcome(Netstrings(), [b"5:hello,"[:end]])[1][0], IncompleteMessage)

    def test_aStringOfAnyBytes(self) -> None:
        message = bytes(range(256)) + b",3:x,:"
        self.assertEqual(outcome(Netstrings(), [Netstrings.frame(message)]), ([message], None))

    @settings(deadline=None, derandomize=True)
    @given(st.lists(st.binary()))
    def test_twistedsOwnReceiverUnderstandsIt(self, said: list[bytes]) -> None:
        receiver, told = NetstringReceiver(), []
        receiver.stringReceived = told.append
        receiver.makeConnection(StringTransport())
        receiver.dataReceived(b"".join(map(Netstrings.frame, said)))
        self.assertEqual(told, said)


class Int32Tests(SynchronousTestCase):
    def test_lengthInFourBytesBigEndian(self) -> None:
        self.assertEqual(Int32.frame(b"hello"), b"\0\0\0\5hello")
        self.assertEqual(outcome(Int32(), [b"\0\0\0\5hello\0\0\0\0"]), ([b"hello", b""], None))

    def test_theLengthIsCheckedBeforeTheMessageIsRead(self) -> None:
        for length in (65537, 2**31, 2**32 - 1):
            framing = Int32()
            framing.feed(struct.pack("!I", length))
            self.assertRaises(MessageTooLong, framing.next)

    def test_theLongest(self) -> None:
        message = b"x" * 65536
        self.assertEqual(outcome(Int32(), [Int32.frame(message)]), ([message], None))

    def test_cutShort(self) -> None:
        for end in range(1, len(b"\0\0\0\5hello")):
            self.assertEqual(outcome(Int32(), [b"\0\0\0\5hello"[:end]])[1][0], IncompleteMessage)

    def test_aSubclassMaySetThePrefix(self) -> None:
        class Int8(Int32):
            prefix = struct.Struct("!B")

        self.assertEqual(outcome(Int8(), [Int8.frame(b"hello")]), ([b"hello"], None))
        self.assertEqual(Int8.frame(b"x" * 255)[:2], b"\xffx")
        self.assertRaises(MessageTooLong, Int8.frame, b"x" * 256)

    @settings(deadline=None, derandomize=True)
    @given(st.lists(st.binary()), st.lists(st.integers(1, 8), max_size=40))
    def test_twistedsOwnSendsAndUnderstandsIt(self, said: list[bytes], cuts: list[int]) -> None:
        receiver, told, transport = Int32StringReceiver(), [], StringTransport()
        receiver.stringReceived = told.append
        receiver.makeConnection(transport)
        for message in said:
            receiver.sendString(message)
        self.assertEqual(outcome(Int32(), pieces(transport.value(), cuts)), (said, None))
        receiver.dataReceived(b"".join(map(Int32.frame, said)))
        self.assertEqual(told, said)
