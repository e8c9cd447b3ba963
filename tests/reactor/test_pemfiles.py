"""Tests for `tcplab.reactor.pemfiles`."""

from __future__ import annotations

import os
import shutil
import tempfile

from cryptography.hazmat.primitives.serialization import PrivateFormat
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor.pemfiles import Block, PEMError, blocks, identities, loadIdentity, readObjects
from tests.support.certificates import Authority, encrypted, pem

PUBLIC = b"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
CURVE = b"-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n"


CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = b"-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n"


class BlocksTests(SynchronousTestCase):
    def test_blocks(self) -> None:
        """With any line ends, and with anything around them."""
        certificate = Block("CERTIFICATE", CERTIFICATE)
        for data, found in (
            (b"", []),
            (b"nothing\n-----END CERTIFICATE-----\n", []),
            (CERTIFICATE + KEY, [certificate, Block("EC PRIVATE KEY", KEY)]),
            (
                b"subject=/CN=a\n" + CERTIFICATE + b"\nissuer=/CN=b\n" + CERTIFICATE,
                [certificate] * 2,
            ),
        ):
            self.assertEqual(list(blocks(data)), found)
            windows = [(each.label, each.text) for each in blocks(data.replace(b"\n", b"\r\n"))]
            expected = [(each.label, each.text.replace(b"\n", b"\r\n")) for each in found]
            self.assertEqual(windows, expected)

    def test_noEnd(self) -> None:
        for data in (CERTIFICATE[:-30], CERTIFICATE[:-30] + KEY):
            with self.assertRaisesRegex(ValueError, "CERTIFICATE has no end"):
                list(blocks(data))

    def test_kinds(self) -> None:
        for label, header, isKey, isEncrypted in (
            ("CERTIFICATE", "", False, False),
            ("PRIVATE KEY", "", True, False),
            ("RSA PRIVATE KEY", "", True, False),
            ("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n", True, True),
            ("ENCRYPTED PRIVATE KEY", "", True, True),
            ("PUBLIC KEY", "", False, False),
        ):
            text = f"-----BEGIN {label}-----\n{header}MIIB\n-----END {label}-----\n"
            [block] = blocks(text.encode())
            self.assertEqual((block.isKey, block.isEncrypted), (isKey, isEncrypted), label)


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, folder)
        self.path, self.other = (os.path.join(folder, name) for name in ("a.pem", "b.pem"))
        self.mine, self.foreign = pem("a.example"), pem("b.example")
        self.key, self.certificate = self.halves(self.mine)

    def halves(self, text: bytes) -> tuple[bytes, bytes]:
        key, end, certificate = text.partition(b"-----END PRIVATE KEY-----\n")
        return key + end, certificate

    def put(self, path: str, text: bytes) -> None:
        with open(path, "wb") as file:
            file.write(text)

    def test_chain(self) -> None:
        """What stands behind the certificate, in its order, without the certificate itself."""
        authorities = [Authority(name) for name in ("one", "two")]
        chain = b"".join(each.pem for each in authorities)
        self.put(self.path, CURVE + self.mine + chain + self.certificate)
        self.put(self.other, self.key)
        for key in (self.path, self.other):
            identity = loadIdentity(self.path, key)
            names = [each.get_subject().CN for each in identity.chain]
            self.assertEqual(names, ["one", "two"])

    def test_refused(self) -> None:
        """In one line, which names the file."""
        foreignKey, foreignCertificate = self.halves(self.foreign)
        for text, problem in (
            (self.certificate, "there is no private key in .*a.pem: name"),
            (self.key, "there is no certificate in .*a.pem: name"),
            (self.mine + foreignKey, "there are 2 private keys in .*a.pem: leave"),
            (self.key + foreignCertificate, "belongs to no certificate in .*a.pem: name the two"),
            (self.key + foreignCertificate + self.certificate, "not the first in .*a.pem: put it"),
            (self.mine + PUBLIC, "a.pem has a PUBLIC KEY, which is of no use here"),
            (self.mine + b"-----BEGIN CERTIFICATE-----\n", "a.pem cannot be used: .* no end"),
            (self.mine.replace(b"MI", b"!!"), "in .*a.pem cannot be used"),
            (self.mine + self.certificate.replace(b"MI", b"!!"), "certificate in .*a.pem cannot"),
            *(
                (encrypted(self.key, form) + self.certificate, "a.pem is encrypted: take the pass")
                for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
            ),
        ):
            self.put(self.path, text)
            raised = self.assertRaises(PEMError, loadIdentity, self.path, self.path)
            self.assertRegex(str(raised), rf"\A[^\n]*{problem}[^\n]*\Z")
        self.assertRaises(OSError, loadIdentity, self.path, self.path + "x")

    def test_withoutEnd(self) -> None:
        raised = self.assertRaises(PEMError, readObjects, ["/dev/zero"])
        self.assertEqual(str(raised), "/dev/zero cannot be used: it is larger than 16 MiB")

    def test_identities(self) -> None:
        """Keys and certificates may be in different files; a key without its own is refused."""
        self.put(self.path, self.key + self.foreign)
        self.put(self.other, self.certificate)
        found = [identity for identity, _ in identities(readObjects([self.path, self.other]))]
        self.assertEqual([each.path for each in found], [self.path] * 2)
        alone = readObjects([self.path])
        raised = self.assertRaises(PEMError, list, identities(alone))
        self.assertIn("has no certificate", str(raised))
