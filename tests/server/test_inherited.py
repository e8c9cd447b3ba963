"""Sockets that were handed over."""

from __future__ import annotations

import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from tcplab.server import inherited
from tcplab.server.inherited import HandedOverError, Inherited, handedOver


class Environment(SynchronousTestCase):
    def found(self, **words: str) -> list[int]:
        return handedOver({"LISTEN_PID": "7", **words}, 7)

    def test_as_systemd_says_it(self) -> None:
        self.assertEqual(self.found(LISTEN_FDS="2"), [3, 4])
        self.assertEqual(self.found(LISTEN_FDS="1", LISTEN_FDNAMES="web"), [3])

    def test_another_process_is_meant(self) -> None:
        self.assertEqual(handedOver({"LISTEN_PID": "8", "LISTEN_FDS": "1"}, 7), [])
        self.assertEqual(handedOver({"LISTEN_FDS": "1"}, 7), [])

    def test_no_number(self) -> None:
        for word in ("", "-1", "x"):
            self.assertEqual(self.found(LISTEN_FDS=word), [])
        self.assertEqual(self.found(), [])

    def test_our_own_process_was_given_none(self) -> None:
        self.assertEqual(handedOver(), [])

    def test_words_of_the_start_are_read(self) -> None:
        self.assertEqual(inherited._atTheStart().get("PATH"), os.environ["PATH"])

    def test_where_they_cannot_be_read(self) -> None:
        self.patch(inherited, "ENVIRONMENT", "/no/such/file")
        self.assertIs(inherited._atTheStart(), os.environ)


class Taking(SynchronousTestCase):
    def listening(self, family: int = socket.AF_INET) -> socket.socket:
        found = socket.socket(family)
        self.addCleanup(found.close)
        found.bind(("127.0.0.1", 0) if family == socket.AF_INET else b"")
        found.listen()
        return found

    def inherited(self, *sockets: socket.socket) -> Inherited:
        return Inherited([os.dup(each.fileno()) for each in sockets])

    def test_one_after_the_other(self) -> None:
        sockets = [self.listening() for _ in range(2)]
        found = self.inherited(*sockets)
        for each in sockets:
            taken = found.next(socket.AF_INET)
            self.assertEqual(taken.getsockname(), each.getsockname())
            self.assertFalse(taken.getblocking())
            self.assertFalse(os.get_inheritable(taken.fileno()))
            taken.close()

    def test_none_is_left(self) -> None:
        raised = self.assertRaises(HandedOverError, Inherited([]).next, socket.AF_INET)
        self.assertIn("no socket that was handed over is left", str(raised))

    def refused(self, found: socket.socket, *families: int, port: int = 0) -> str:
        inherited = self.inherited(found)
        return str(self.assertRaises(HandedOverError, inherited.next, *families, port=port))

    def test_another_family(self) -> None:
        self.assertIn("is one of AF_INET:", self.refused(self.listening(), socket.AF_UNIX))
        unix = self.refused(self.listening(socket.AF_UNIX), socket.AF_INET, socket.AF_INET6)
        self.assertIn("is one of AF_UNIX:", unix)

    def test_another_port(self) -> None:
        found = self.listening()
        number = found.getsockname()[1]
        self.assertIn(f"listens on port {number}", self.refused(found, socket.AF_INET, port=1))
        self.inherited(found).next(socket.AF_INET, port=number).close()

    def test_it_does_not_listen(self) -> None:
        found = socket.socket()
        self.addCleanup(found.close)
        self.assertIn("a socket that does not listen", self.refused(found, socket.AF_INET))

    def test_it_is_no_socket(self) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, nothing)
        raised = self.assertRaises(HandedOverError, Inherited([nothing]).next, socket.AF_INET)
        self.assertIn(f"descriptor {nothing} is no socket", str(raised))
