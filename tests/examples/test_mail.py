"""Tests for ``examples/mail.py``."""

from __future__ import annotations

import shutil
import smtplib
import ssl

from tcplab.testing import connected
from tests.support.terminal_input import Typed, commands, example

LETTER = "Subject: hello\r\n\r\none\r\ntwo\r\n"


class MailTests(Typed):
    def setUp(self) -> None:
        super().setUp()
        if shutil.which("openssl") is None:
            self.skipTest("the openssl program is not installed")

    def test_asItsDocstringSays(self) -> None:
        _, said = self.typed("mail", b"", b"DATA\none\ntwo\n.\nQUIT\n")
        self.assertTrue(said.endswith("354 end with a dot alone\r\n250 2 lines\r\n221 goodbye\r\n"))
        self.assertIn("[Mail,1,127.0.0.1] server: got connection", self.log())

    def test_theStandardLibrarySendsMailThroughIt(self) -> None:
        certificate, serve, _ = commands("mail")
        self.client(certificate, b"")
        context = ssl.create_default_context(cafile=self.folder / "mail.pem")
        with smtplib.SMTP("localhost", self.start(serve).port, timeout=30) as client:
            client.starttls(context=context)
            client.ehlo()
            self.assertEqual(client.sendmail("me@here", ["you@there"], LETTER), {})
            with self.assertRaises(smtplib.SMTPNotSupportedError):
                client.login("me", "secret")

    def test_withoutTLSItCountsToo(self) -> None:
        _, serve, _ = commands("mail")
        with smtplib.SMTP("localhost", self.start(serve).port, timeout=30) as client:
            self.assertEqual(client.sendmail("me@here", ["you@there"], LETTER), {})


class MailInMemoryTests(Typed):
    def test_everyCommandHasItsAnswer(self) -> None:
        peer = connected(example("mail").Mail())
        for said, code in (
            (b"", b"220 "),
            (b"EHLO me\r\n", b"250-"),
            (b"mail from:<a@b>\r\n", b"250 "),
            (b"STARTTLS\r\n", b"454 "),
            (b"\r\n", b"500 "),
            (b"DATA\r\n", b"354 "),
            (b"one\r\ntwo\r\n.\r\n", b"250 2 lines"),
            (b"QUIT\r\n", b"221 "),
        ):
            peer.write(said)
            self.assertEqual(peer.value()[: len(code)], code, said)
            peer.clear()
        self.assertTrue(peer.ended)
