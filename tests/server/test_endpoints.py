"""Tests for `tcplab.server.endpoints`."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.behaviourspec import BehaviourSpec
from tcplab.config.errors import SettingsError
from tcplab.config.settings import ListenerSettings
from tcplab.server import endpoints
from tcplab.server.certificates import CertificateDirectory
from tcplab.server.endpoints import (
    cannotListen,
    endpointOf,
    formatAddress,
    portFileFields,
    reachability,
)
from tests.support.certificates import localhostFile


class Addresses(SynchronousTestCase):
    four = IPv4Address("TCP", "127.0.0.1", 80)
    six = IPv6Address("TCP", "::", 80)
    unix = UNIXAddress(b"/a/s")

    def test_place(self) -> None:
        self.assertEqual(portFileFields(self.four), ("127.0.0.1", "80"))
        self.assertEqual(portFileFields(self.six), ("::", "80"))
        self.assertEqual(portFileFields(self.unix), ("unix", "/a/s"))
        self.assertEqual(portFileFields(UNIXAddress(b"\0name")), ("unix", "@name"))

    def test_shown(self) -> None:
        self.assertEqual(formatAddress(self.four), "127.0.0.1:80")
        self.assertEqual(formatAddress(self.six), "[::]:80")
        self.assertEqual(formatAddress(self.unix), "/a/s")

    def test_reach(self) -> None:
        everyone = "reachable from every network this machine is on"
        self.assertEqual(reachability(self.four), "reachable from this machine only")
        self.assertEqual(
            reachability(IPv6Address("TCP", "::1", 80)), "reachable from this machine only"
        )
        self.assertEqual(reachability(self.six), everyone)
        self.assertEqual(reachability(IPv4Address("TCP", "0.0.0.0", 80)), everyone)
        self.assertIn("who may open it", reachability(self.unix))
        self.assertIn("can reach 192.0.2.1", reachability(IPv4Address("TCP", "192.0.2.1", 80)))

    def test_address_of_a_kind_that_is_not_known(self) -> None:
        self.assertEqual(portFileFields(object())[1], "-")  # type: ignore[arg-type]
        self.assertIn("lets in", reachability(object()))  # type: ignore[arg-type]


def listener(endpoint: str, option: str = "--serve x") -> ListenerSettings:
    return ListenerSettings("lab", BehaviourSpec("lab"), endpoint, option)


class EndpointOf(SynchronousTestCase):
    def refused(self, endpoint: str) -> str:
        problem = str(
            self.assertRaises(SettingsError, endpointOf, MemoryReactorClock(), listener(endpoint))
        )
        self.assertEqual(len(problem.splitlines()), 1)
        self.assertTrue(problem.startswith("--serve x: "))
        return problem

    def test_any_endpoint_string(self) -> None:
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
        ):
            reactor = MemoryReactorClock()
            endpointOf(reactor, listener(text)).listen(Factory())
            self.assertEqual(reactor.unixServers[0][0], path)
        before = "limit:max=5:idle=6:limit:per-peer=1:unix:"
        self.assertEqual(endpoints._absolute(before + "s:mode=660"), before + "/tmp/s:mode=660")

    def test_refused(self) -> None:
        """In one line, which says what to do."""
        bad, folder = self.mktemp(), os.path.abspath(self.mktemp())
        with open(bad, "w") as file:
            file.write("nothing")
        os.makedirs(os.path.join(folder, "some.pem"))
        for text, problem in (
            ("tpc:80", r"no kind of endpoint 'tpc' \(did you mean tcp\?\): use .*unix"),
            ("=", "there is no kind of endpoint ''"),
            ("tcp", "'port' is missing"),
            ("tcp:80:a=b", "there is no option 'a'"),
            ("tcp:80:interface=::1", r"\\: for a colon"),
            ("tcp:http", "'http' is no number"),
            ("tcp:80\\", "ends in a backslash"),
            ("limit:max=x:tcp:80", "max(?!.*Error)"),
            ("limit:max=5:tls:/no/such:443", "no .pem file in /no/such"),
            ("ssl:443:privateKey=/no/such.pem", "cannot read /no/such.pem: No such file"),
            (f"ssl:443:privateKey={bad}", "key or certificate"),
            (f"tls:{folder}:0", f"no .pem file in {folder}"),
            ("tls:path=/no/such:port=7", "no .pem file in /no/such"),
            ("systemd:domain=INET:name=none", "systemd has handed over no such socket"),
            ("systemd:domain=INET:index=0", "systemd has handed over no such socket"),
        ):
            self.assertRegex(self.refused(text), problem)

    def test_folder_or_file_with_certificates(self) -> None:
        path = os.path.abspath(self.mktemp())
        os.makedirs(path)
        for given in (path, localhostFile(path)):
            reactor = MemoryReactorClock()
            endpointOf(reactor, listener(f"tls:{given}:7")).listen(Factory())
            self.assertEqual(len(reactor.tcpServers), 1)

    def made(self, text: str) -> Any:
        """Return the endpoint, without any limits around it."""
        endpoint: Any = endpointOf(MemoryReactorClock(), listener(text))
        while hasattr(endpoint, "_endpoint"):
            endpoint = endpoint._endpoint
        return endpoint

    def test_everyTlsIsOurs(self) -> None:
        """However it is written: Twisted's own has other ciphers, and starts without any file."""
        path = os.path.abspath(self.mktemp())
        os.makedirs(path)
        empty = os.path.abspath(self.mktemp())
        os.makedirs(empty)
        localhostFile(path)
        for before in (
            "",
            "limit:max=9:",
            "limit:",
            "fault:latency,latency=1:",
            "limit:max=9:fault:stall,for=2s:",
            "fault:stall:limit:max=9:fault:half_close,after=1B:",
        ):
            for text in ("tls:{}:7", "tls:port=7:path={}", "tls:interface=\\:\\:1:path={}:port=7"):
                made = self.made(before + text.format(path))
                self.assertIsInstance(made.connectionCreator, CertificateDirectory)
                self.assertIn("no .pem file", self.refused(before + text.format(empty)))
        self.patch(endpoints, "_WRAPPERS", re.compile(""))
        self.assertIn("cannot be told", self.refused(f"limit:max=9:tls:{path}:7"))

    def test_whose_clients_may_connect(self) -> None:
        path = os.path.abspath(self.mktemp())
        os.makedirs(path)
        pem = localhostFile(path)
        for before in ("", "limit:max=5:"):
            folder = self.made(f"{before}tls:{path}:7:ca={pem}:interface=1").connectionCreator
            self.assertIsInstance(folder, CertificateDirectory)
            self.assertIsNot(folder._clients, None)
            endpoint = self.made(f"{before}ssl:7:ca={pem}:privateKey={pem}")
            self.assertTrue(endpoint._sslContextFactory.verify)
        self.assertIs(self.made(f"tls:{path}:7").connectionCreator._clients, None)

    def test_whose_clients_cannot_be_told(self) -> None:
        path = os.path.abspath(self.mktemp())
        os.makedirs(path)
        pem = localhostFile(path)
        self.assertIn("cannot read /no/such", self.refused(f"ssl:7:privateKey={pem}:ca=/no/such"))
        self.assertIn("no certificate in /dev/null", self.refused(f"tls:{path}:7:ca=/dev/null"))
        self.assertIn("'ca'", self.refused(f"tcp:7:ca={pem}"))

    def test_any_other_problem_is_named(self) -> None:
        def broken(reactor: object, text: str) -> None:
            raise RuntimeError("a plugin's own\ntrouble")

        self.patch(endpoints, "serverFromString", broken)
        self.assertIn("'own:80': RuntimeError: a plugin's own", self.refused("own:80"))


class CannotListen(SynchronousTestCase):
    def said(self, error: BaseException, endpoint: str = "tcp:80", option: str = "") -> str:
        return str(cannotListen(listener(endpoint, option), error))

    def failed(self, number: int, host: str = "127.0.0.1", option: str = "") -> str:
        error = OSError(number, os.strerror(number))
        return self.said(CannotListenError(host, 80, error), option=option)

    def test_port(self) -> None:
        for number, host, problem in (
            (
                errno.EADDRINUSE,
                "127.0.0.1",
                "port 80 is in use on 127.0.0.1: stop whatever has it,"
                " or let the system choose with --port 0",
            ),
            (errno.EACCES, "", "port 80 needs more rights: use one from 1024 up, or start as root"),
            (errno.EMFILE, "::", "cannot listen on port 80 of ::: Too many open files"),
        ):
            self.assertEqual(self.failed(number, host), problem)
        self.assertIn("no address 192.0.2.1", self.failed(errno.EADDRNOTAVAIL, "192.0.2.1"))
        said = self.failed(errno.EADDRINUSE, host="", option="--serve echo@tcp:80")
        self.assertRegex(said, "^--serve echo@tcp:80: port 80 is in use on every address.* port 0$")

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
