"""Tests for `tcplab.server.endpoints`."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

from cryptography.hazmat.primitives.serialization import PrivateFormat
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.behaviourspec import BehaviourSpec
from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import ListenerSettings
from tcplab.listener.listener import WrappingEndpoint
from tcplab.server import endpoints
from tcplab.server.certificates import CertificateDirectory
from tcplab.server.endpoints import (
    cannotListen,
    endpointOf,
    formatAddress,
    portFileFields,
    reachability,
    unixPath,
)
from tcplab.wire import endpointstring
from tests.support.certificates import (
    Authority,
    encrypted,
    localhostFile,
    localhostPEM,
    servesTLS,
)

LOCAL = "reachable from this machine only"
ALL = "reachable from every network this machine is on"


class AddressTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """The fields of the port file, the form of the log, and from where it is reached."""
        self.patch(endpoints, "machineAddresses", lambda ipv6: ["::7"] if ipv6 else [])
        for address, fields, formatted, reach in (
            (IPv4Address("TCP", "127.0.0.1", 80), ("127.0.0.1", "80"), "127.0.0.1:80", LOCAL),
            (IPv6Address("TCP", "::1", 80), ("::1", "80"), "[::1]:80", LOCAL),
            (IPv6Address("TCP", "::", 80), ("::", "80"), "[::]:80", f"{ALL}, at ::7"),
            (IPv4Address("TCP", "0.0.0.0", 80), ("0.0.0.0", "80"), "0.0.0.0:80", ALL),
            (IPv4Address("TCP", "192.0.2.1", 7), ("192.0.2.1", "7"), "", "can reach 192.0.2.1"),
            (UNIXAddress(b"/a/s"), ("unix", "/a/s"), "/a/s", "that may open it"),
            (UNIXAddress(b"\0name"), ("unix", "@name"), "", "all local users"),
        ):
            self.assertEqual(portFileFields(address), fields)
            self.assertIn(formatted, formatAddress(address))
            self.assertIn(reach, reachability(address))
        self.assertEqual(portFileFields(object())[1], "-")  # type: ignore[arg-type]
        self.assertIn("lets in", reachability(object()))  # type: ignore[arg-type]

    def test_manyAddresses(self) -> None:
        self.patch(endpoints, "machineAddresses", lambda ipv6: [*"abcdef"])
        reach = reachability(IPv4Address("TCP", "0.0.0.0", 80))
        self.assertEqual(reach, f"{ALL}, at a, b, c, d, 2 more")


def listener(endpoint: str, option: str = "--serve x") -> ListenerSettings:
    return ListenerSettings("lab", BehaviourSpec("lab"), endpoint, option)


class EndpointOfTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder, self.empty = (os.path.abspath(self.mktemp()) for _ in range(2))
        os.makedirs(self.folder)
        os.makedirs(os.path.join(self.empty, "some.pem"))  # no file
        self.pem = localhostFile(self.folder)

    def refused(self, endpoint: str) -> str:
        problem = str(
            self.assertRaises(SettingsError, endpointOf, MemoryReactorClock(), listener(endpoint))
        )
        self.assertEqual(len(problem.splitlines()), 1)
        self.assertTrue(problem.startswith("--serve x: "))
        return problem

    def test_twistedEndpoint(self) -> None:
        reactor, factory = MemoryReactorClock(), Factory()
        endpointOf(reactor, listener("tcp:7:interface=127.0.0.1")).listen(factory)
        self.assertEqual(reactor.tcpServers, [(7, factory, 50, "127.0.0.1")])

    def test_path(self) -> None:
        """A path of a Unix socket becomes absolute, unless it would be too long."""
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir("/tmp")
        for text, path in (
            ("unix:s", "/tmp/s"),
            ("unix:s:mode=660", "/tmp/s"),
            ("unix:/a/s", "/a/s"),
            ("unix:address=/a/s", "/a/s"),
            ("unix:" + "s" * 104, "s" * 104),
            ("unix:@s:mode=660", "\0s"),
            ("unix:./@s", "/tmp/./@s"),
        ):
            reactor = MemoryReactorClock()
            endpointOf(reactor, listener(text)).listen(Factory())
            self.assertEqual(reactor.unixServers[0][0], path)
        before = "limit:max=5:idle=6:limit:per-peer=1:unix:"
        self.assertEqual(endpoints._absolute(before + "s:mode=660"), before + "/tmp/s:mode=660")

    def test_abstractPath(self) -> None:
        """There is no file, and no lock beside it."""
        for text in ("unix:@s", "limit:max=5:unix:address=@s"):
            made = self.made(text)
            self.assertEqual((made._address, made._wantPID), ("\0s", False))
            self.assertEqual(unixPath(text), "")
        self.assertEqual(unixPath("unix:./@s"), os.path.join(os.getcwd(), "./@s"))

    def test_refused(self) -> None:
        """In one line, which says what to do."""
        bad = self.mktemp()
        with open(bad, "w") as file:
            file.write("nothing")
        for text, problem in (
            ("tpc:80", r"no kind of endpoint 'tpc' \(did you mean tcp\?\): use .*unix"),
            ("=", "there is no kind of endpoint ''"),
            ("tcp", "'port' is missing"),
            ("tcp:80:a=b", "there is no option 'a'"),
            ("tcp:80:1:2:3:4", "write KIND:ARGUMENT"),
            ("tcp:80:interface=::1", r": write tcp:80:interface=\\:\\:1$"),
            ("limit:max=5:tcp6:0:interface=[::1]", r"write limit:max=5:tcp6:0:interface=\\:\\:1"),
            ("tcp://127.0.0.1:80", r": write tcp:80:interface=127.0.0.1$"),
            ("[::1]:80", r"write tcp6:80:interface=\\:\\:1$"),
            ("localhost:http", "write tcp:80:interface=127.0.0.1$"),
            ("tcp:http", "'http' is no number"),
            ("tcp:80\\", "ends in a backslash"),
            ("limit:max=x:tcp:80", "max(?!.*Error)"),
            ("ssl:443:privateKey=/no/such.pem", "cannot read /no/such.pem: No such file"),
            (f"ssl:443:privateKey={bad}", "there is no private key in .*: name a PEM file"),
            ("systemd:domain=INET:name=none", "systemd has handed over no such socket"),
            ("systemd:domain=INET:index=0", "systemd has handed over no such socket"),
            (f"ssl:7:privateKey={self.pem}:ca=/no/such", "cannot read /no/such"),
            (f"tcp:7:ca={self.pem}", "'ca'"),
        ):
            self.assertRegex(self.refused(text), problem)

    @servesTLS
    def test_refusedTLS(self) -> None:
        for text, problem in (
            ("limit:max=5:tls:/no/such:443", "no .pem file in /no/such"),
            (f"tls:{self.empty}:0", f"no .pem file in {self.empty}"),
            ("tls:path=/no/such:port=7", "no .pem file in /no/such"),
            (f"tls:{self.folder}:7:ca=/dev/null", "no certificate in /dev/null"),
        ):
            self.assertRegex(self.refused(text), problem)

    def test_olderTwisted(self) -> None:
        """It has no ``tls:`` for servers, and the line names the version that has it."""

        def older(reactor: object, text: str) -> None:
            raise ValueError("Unknown endpoint type: 'tls'")

        self.patch(endpoints, "serverFromString", older)
        self.assertRegex(
            self.refused(f"limit:tls:{self.folder}:7"), "needs Twisted 26.4 .* use ssl:$"
        )

    def made(self, text: str) -> Any:
        """Return the endpoint, without any limits around it."""
        endpoint: Any = endpointOf(MemoryReactorClock(), listener(text))
        while isinstance(endpoint, WrappingEndpoint):
            endpoint = endpoint.endpoint
        return endpoint

    @servesTLS
    def test_tls(self) -> None:
        """Every one is ours, however it is written: Twisted's own starts without any file."""
        for before in (
            "",
            "limit:max=9:",
            "limit:",
            "fault:latency,latency=1:",
            "limit:max=9:fault:stall,for=2s:",
            "fault:stall:limit:max=9:fault:half_close,after=1B:",
        ):
            for text in ("tls:{}:7", "tls:port=7:path={}", "tls:interface=\\:\\:1:path={}:port=7"):
                for path in (self.folder, self.pem):
                    made = self.made(before + text.format(path))
                    self.assertIsInstance(made.connectionCreator, CertificateDirectory)
                self.assertIn("no .pem file", self.refused(before + text.format(self.empty)))
        self.patch(endpointstring, "_WRAPPERS", re.compile(""))
        self.assertIn(
            "its certificates is not known",
            self.refused(f"limit:max=9:tls:{self.folder}:7"),
        )

    @servesTLS
    def test_clientAuthority(self) -> None:
        """``ca=`` names the authority of the clients that may connect."""
        for before in ("", "limit:max=5:"):
            made = self.made(f"{before}tls:{self.folder}:7:ca={self.pem}:interface=1")
            self.assertIsNot(made.connectionCreator._clients, None)
            made = self.made(f"{before}ssl:7:ca={self.pem}:privateKey={self.pem}")
            self.assertTrue(made._sslContextFactory.verify)
        self.assertIs(self.made(f"tls:{self.folder}:7").connectionCreator._clients, None)

    def test_files(self) -> None:
        """The chain behind a certificate is sent; a key with a passphrase is refused."""
        with open(self.pem, "ab") as file:
            file.write(Authority().pem)
        for before in ("", "limit:max=5:", "fault:stall,for=2s:"):
            options = self.made(f"{before}ssl:7:{self.pem}:alpn=h2,http/1.1")._sslContextFactory
            self.assertEqual(len(options.extraCertChain), 1)
            self.assertEqual(options._acceptableProtocols, [b"h2", b"http/1.1"])
        with open(self.pem, "wb") as file:
            key, end, _ = localhostPEM().partition(b"-----END PRIVATE KEY-----\n")
            file.write(encrypted(key + end, PrivateFormat.PKCS8))
        for text in (f"ssl:7:privateKey={self.pem}", f"limit:max=5:tls:{self.folder}:7"):
            self.assertIn(f"the private key in {self.pem} is encrypted", self.refused(text))

    def test_otherProblem(self) -> None:
        def broken(reactor: object, text: str) -> None:
            raise RuntimeError("a plugin's own\ntrouble")

        self.patch(endpoints, "serverFromString", broken)
        self.assertIn("'own:80': RuntimeError: a plugin's own", self.refused("own:80"))


class CannotListenTests(SynchronousTestCase):
    def said(self, error: BaseException, endpoint: str = "tcp:80", **options: str) -> str:
        return str(cannotListen(ListenerSettings("lab", "lab", endpoint, **options), error))

    def test_port(self) -> None:
        in_use = "port 80 is in use on every address: stop the program that has it, or let"
        serve = "--serve echo@tcp:80"
        for number, host, option, problem in (
            (
                errno.EADDRINUSE,
                "",
                serve,
                f"{serve}: {in_use} the system choose with port 0",
            ),
            (errno.EACCES, "", "", "port 80 needs more rights: use one from 1024 up, or start as"),
            (errno.EMFILE, "::", "", "cannot listen on port 80 of ::: Too many open files"),
            (errno.EADDRNOTAVAIL, "192.0.2.1", "", "no address 192.0.2.1"),
            (errno.EINVAL, "fe80::1", "", "needs its interface: write it as in fe80::1%eth0"),
        ):
            error = CannotListenError(host, 80, OSError(number, os.strerror(number)))
            self.assertIn(problem, self.said(error, option=option))

    def test_portInUse(self) -> None:
        """An outgoing connection may hold a port of the system's range for these."""
        path = self.mktemp()
        self.patch(endpoints, "_CLIENTS", path)
        for text, option, end in (
            (None, "--port", "with --port 0"),
            ("81 90", "port", "with port=0"),
            ("70 90", "TCPLAB_PORT", "with port 0; an outgoing connection may hold it too, since"),
        ):
            if text is not None:
                with open(path, "w") as file:
                    file.write(text)
            error = CannotListenError("::1", 80, OSError(errno.EADDRINUSE, ""))
            said = self.said(error, portOption=option)
            self.assertTrue(said.startswith("port 80 is in use on ::1: stop the program"), said)
            self.assertIn(f"or let the system choose {end}", said)
            self.assertEqual("outgoing" in said, text == "70 90")

    def test_withoutPort(self) -> None:
        for error, problem in (
            (OverflowError("too\nlong"), "cannot listen on tcp:99999: too"),
            (CannotListenError("", 80, ValueError("bad")), "cannot listen on tcp:99999: bad"),
        ):
            self.assertEqual(self.said(error, "tcp:99999"), problem)

    def test_unixSocket(self) -> None:
        for cause, problem in (
            ("Cannot acquire lock", "another process serves on /a/s"),
            (OSError(errno.EADDRINUSE, "in use"), "there is a file /a/s already"),
            (OSError(errno.ENOENT, "No such file"), "cannot listen on /a/s: No such file"),
            (OSError("path too long"), "path too long"),
        ):
            self.assertIn(problem, self.said(CannotListenError(None, b"/a/s", cause)))
