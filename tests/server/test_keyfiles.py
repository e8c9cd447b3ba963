"""Files with private keys."""

from __future__ import annotations

import os
import shutil
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.keyfiles import openToAll
from tests.certificates import localhostFile


class OpenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, self.folder)
        self.pem = localhostFile(self.folder)

    def mode(self, mode: int) -> None:
        os.chmod(self.pem, mode)

    def test_onlyWhatEverybodyMayRead(self) -> None:
        for mode, found in ((0o644, [self.pem]), (0o640, []), (0o600, [])):
            self.mode(mode)
            self.assertEqual(openToAll(f"ssl:0:privateKey={self.pem}:interface=127.0.0.1"), found)

    def test_everyKindOfEndpoint(self) -> None:
        self.mode(0o644)
        for endpoint in (
            f"limit:max=3:ssl:0:certKey=other.pem:privateKey={self.pem}",
            f"tls:{self.folder}:0",
            f"tls:path={self.folder}:0",
            f"tls:port=0:path={self.folder}",
            f"limit:max=3:tls:{self.folder}:0",
        ):
            self.assertEqual(openToAll(endpoint), [self.pem], endpoint)

    def test_pathWithAColon(self) -> None:
        path = os.path.join(self.folder, "a:b.pem")
        os.rename(self.pem, path)
        os.chmod(path, 0o644)
        quoted = path.replace(":", "\\:")
        self.assertEqual(openToAll(f"ssl:0:privateKey={quoted}"), [path])

    def test_aCertificateIsForEverybody(self) -> None:
        with open(self.pem) as file:
            certificate = file.read().partition("-----END PRIVATE KEY-----")[2]
        path = os.path.join(self.folder, "certificate.pem")
        with open(path, "w") as file:
            file.write(certificate)
        os.chmod(path, 0o644)
        self.mode(0o600)
        self.assertEqual(openToAll(f"tls:{self.folder}:0"), [])
        self.assertEqual(openToAll(f"ssl:0:privateKey={path}"), [])

    def test_whatHasNoKey(self) -> None:
        self.assertEqual(openToAll("tcp:0:interface=127.0.0.1"), [])
        self.assertEqual(openToAll(f"ssl:0:privateKey={self.folder}/nothing.pem"), [])
        self.assertEqual(openToAll("unix:/tmp/ssl"), [])
