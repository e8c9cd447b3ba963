"""Tests for `tcplab.server.certificates`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from typing import Any

from cryptography.x509 import DNSName, SubjectAlternativeName
from OpenSSL import SSL
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.certificates import (
    CertificateDirectory,
    CertificatesError,
    hardenTLS,
    loadClientCAs,
    worldReadableKeys,
)
from tests.support.certificates import Authority, localhostFile, localhostPEM, namelessPEM, pem
from tests.support.log_capture import Logged


class OpenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, self.folder)
        self.pem = localhostFile(self.folder)

    def test_modes(self) -> None:
        endpoint = f"ssl:0:privateKey={self.pem}:interface=127.0.0.1"
        for mode, found in ((0o644, [self.pem]), (0o640, []), (0o600, [])):
            os.chmod(self.pem, mode)
            self.assertEqual(worldReadableKeys(endpoint), found)

    def test_endpoints(self) -> None:
        os.chmod(self.pem, 0o644)
        os.link(self.pem, colon := os.path.join(self.folder, "a:b"))
        quoted = colon.replace(":", "\\:")
        for endpoint, found in (
            (f"limit:max=3:ssl:0:certKey=other.pem:privateKey={self.pem}", [self.pem]),
            (f"tls:{self.folder}:0", [self.pem]),
            (f"tls:path={self.folder}:0", [self.pem]),
            (f"tls:port=0:path={self.folder}", [self.pem]),
            (f"limit:max=3:tls:{self.folder}:0", [self.pem]),
            (f"ssl:0:privateKey={quoted}", [colon]),
            ("tcp:0:interface=127.0.0.1", []),
            (f"ssl:0:privateKey={self.folder}/nothing.pem", []),
            ("unix:/tmp/ssl", []),
        ):
            self.assertEqual(worldReadableKeys(endpoint), found, endpoint)

    def test_certificate(self) -> None:
        with open(self.pem) as file:
            certificate = file.read().partition("-----END PRIVATE KEY-----")[2]
        path = os.path.join(self.folder, "certificate.pem")
        with open(path, "w") as file:
            file.write(certificate)
        os.chmod(path, 0o644)
        os.chmod(self.pem, 0o600)
        self.assertEqual(worldReadableKeys(f"tls:{self.folder}:0"), [])
        self.assertEqual(worldReadableKeys(f"ssl:0:privateKey={path}"), [])


class Folders(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.mktemp()
        os.makedirs(self.path)
        self.clock = Clock()

    def put(self, name: str, text: bytes) -> None:
        """Write a file at once, as those do who renew certificates."""
        with open(os.path.join(self.path, "new"), "wb") as file:
            file.write(text)
        os.replace(os.path.join(self.path, "new"), os.path.join(self.path, name))

    def folder(self, clients: Any = None) -> CertificateDirectory:
        return CertificateDirectory(self.path, self.clock, clients)

    def shown(self, folder: CertificateDirectory, name: bytes | None) -> bytes:
        """Shake hands in memory, and return the names of the certificate that is shown."""
        server = folder.serverConnectionForTLS(None)
        server.set_accept_state()
        peer = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        peer.set_connect_state()
        if name is not None:
            peer.set_tlsext_host_name(name)
        for _ in range(3):
            for each, other in ((peer, server), (server, peer)):
                with contextlib.suppress(SSL.WantReadError):
                    each.do_handshake()
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(each.bio_read(65536))
        certificate = peer.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
        return " ".join(names.get_values_for_type(DNSName)).encode()


class Names(Folders):
    def setUp(self) -> None:
        super().setUp()
        self.put("b.pem", pem("b.example", "c.example"))
        self.put("a.pem", pem("a.example"))
        self.put("wild.pem", pem("*.x.example"))
        self.served = self.folder()

    def test_name_chooses(self) -> None:
        for name, shown in (
            (b"a.example", b"a.example"),
            (b"b.example", b"b.example c.example"),
            (b"C.EXAMPLE", b"b.example c.example"),
            (b"any.x.example", b"*.x.example"),
        ):
            self.assertEqual(self.shown(self.served, name), shown)

    def test_others_get_the_first_by_alphabet(self) -> None:
        os.remove(os.path.join(self.path, "wild.pem"))
        served = self.folder()
        for name in (None, b"z.example", b"any.a.example", b"\xff\x1b[2J", b"x" * 200):
            self.assertEqual(self.shown(served, name), b"a.example")
        self.assertEqual([each for each in self.events if each["log_level"] > LogLevel.info], [])


class Renewed(Folders):
    def test_next_connection_has_the_new_one(self) -> None:
        self.put("a.pem", pem("a.example"))
        served = self.folder()
        self.put("a.pem", pem("a.example", "b.example"))
        self.assertEqual(self.shown(served, b"a.example"), b"a.example")  # not looked at yet
        self.clock.advance(1)
        self.assertEqual(self.shown(served, b"a.example"), b"a.example b.example")
        self.clock.advance(1)
        self.shown(served, b"a.example")
        self.assertEqual(len(self.lines()), 1)
        self.assertIn("certificates read again", self.lines()[0])

    def test_what_cannot_be_read_changes_nothing(self) -> None:
        self.put("a.pem", pem("a.example"))
        served = self.folder()
        self.put("a.pem", b"-----BEGIN CERTIFICATE-----\nnothing\n")
        for _ in range(3):
            self.clock.advance(1)
            self.assertEqual(self.shown(served, b"a.example"), b"a.example")
        self.assertEqual(len(self.lines(LogLevel.warn)), 1)
        self.assertIn("stay as they were", self.lines(LogLevel.warn)[0])
        os.remove(os.path.join(self.path, "a.pem"))
        self.clock.advance(1)
        self.assertEqual(self.shown(served, b"a.example"), b"a.example")

    def test_nobody_makes_us_look_more_often(self) -> None:
        self.put("a.pem", pem("a.example"))
        served = self.folder()
        looks: list[None] = []
        self.patch(served, "_checkFiles", lambda: looks.append(None))
        for _ in range(100):
            served.serverConnectionForTLS(None)
        self.assertEqual(looks, [])


class Refused(Folders):
    def refused(self) -> str:
        return str(self.assertRaises(CertificatesError, self.folder))

    def test_files(self) -> None:
        for name, text, problem in (
            ("a.txt", b"", f"there is no .pem file in {os.path.abspath(self.path)}"),
            ("a.pem", namelessPEM(), "no certificate with a subjectAltName"),
            ("a.pem", b"-----BEGIN CERTIFICATE-----\nnothing\n", "a .pem file in [^\n]*$"),
        ):
            self.put(name, text)
            self.assertRegex(self.refused(), problem)

    def test_file_instead_of_a_folder(self) -> None:
        self.assertEqual(
            self.shown(CertificateDirectory(localhostFile(self.path), self.clock), None),
            b"localhost",
        )


class Clients(Folders):
    def test_authorities_that_cannot_be_read(self) -> None:
        self.assertRaises(OSError, loadClientCAs, "/no/such/file")
        for text in (b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"):
            self.put("a.pem", text)
            problem = self.assertRaises(
                CertificatesError, loadClientCAs, os.path.join(self.path, "a.pem")
            )
            self.assertIn("there is no certificate in ", str(problem))

    def test_they_are_required(self) -> None:
        self.put("ca.pem", Authority().pem)
        options = CertificateOptions()
        hardenTLS(options, loadClientCAs(os.path.join(self.path, "ca.pem")))
        self.assertRequired(options.getContext())

    def assertRequired(self, context: SSL.Context) -> None:
        both = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        self.assertEqual(context.get_verify_mode() & both, both)

    def test_whatever_name_they_ask_for(self) -> None:
        self.put("ca.pem", Authority().pem)
        clients = loadClientCAs(os.path.join(self.path, "ca.pem"))
        os.remove(os.path.join(self.path, "ca.pem"))
        self.put("a.pem", pem("a.example"))
        self.put("b.pem", localhostPEM())
        served = self.folder(clients)
        for each in served._contexts.values():
            self.assertRequired(each)
        self.assertEqual(len(served._contexts), 2)


class Narrow(SynchronousTestCase):
    def test_ciphers(self) -> None:
        hardenTLS(options := CertificateOptions())
        names = SSL.Connection(options.getContext()).get_cipher_list()
        self.assertIn("ECDHE-ECDSA-AES128-GCM-SHA256", names)
        good = re.compile("TLS_|(EC)?DHE-.*(GCM|POLY1305)")
        self.assertEqual([each for each in names if not good.match(each)], [])

    def test_nobody_is_asked_for_a_certificate_unless_it_is_said(self) -> None:
        hardenTLS(options := CertificateOptions())
        self.assertEqual(options.getContext().get_verify_mode(), SSL.VERIFY_NONE)
