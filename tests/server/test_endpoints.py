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

    def test_unix_path_is_made_absolute(self) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir("/tmp")
        for given in ("unix:s", "unix:s:mode=660"):
            reactor = MemoryReactorClock()
            endpointOf(reactor, listener(given)).listen(Factory())
            self.assertEqual(reactor.unixServers[0][0], "/tmp/s")

    def test_behind_a_limit_too(self) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir("/tmp")
        found = endpoints._absolute("limit:max=5:idle=6:limit:per-peer=1:unix:s:mode=660")
        self.assertEqual(found, "limit:max=5:idle=6:limit:per-peer=1:unix:/tmp/s:mode=660")
        problem = self.refused("limit:max=5:tls:/tmp/nowhere:443")
        self.assertIn("no .pem file in /tmp/nowhere", problem)

    def test_wrong_limit_is_told_in_its_own_words(self) -> None:
        problem = self.refused("limit:max=x:tcp:80")
        self.assertNotIn("Error", problem)
        self.assertIn("max", problem)

    def test_unix_path_that_would_become_too_long_stays(self) -> None:
        given = "s" * 100
        reactor = MemoryReactorClock()
        endpointOf(reactor, listener(f"unix:{given}")).listen(Factory())
        self.assertEqual(reactor.unixServers[0][0], given)

    def test_unix_path_that_is_absolute_stays(self) -> None:
        for given in ("unix:/a/s", "unix:address=/a/s"):
            reactor = MemoryReactorClock()
            endpointOf(reactor, listener(given)).listen(Factory())
            self.assertEqual(reactor.unixServers[0][0], "/a/s")

    def test_unknown_kind(self) -> None:
        problem = self.refused("tpc:80")
        self.assertIn("no kind of endpoint 'tpc' (did you mean tcp?)", problem)
        self.assertIn("unix", problem)

    def test_missing_or_surplus_arguments(self) -> None:
        self.assertIn("'port' is missing", self.refused("tcp"))
        self.assertIn("there is no option 'a'", self.refused("tcp:80:a=b"))
        self.assertIn("\\: for a colon", self.refused("tcp:80:interface=::1"))

    def test_no_number(self) -> None:
        self.assertIn("'http' is no number", self.refused("tcp:http"))

    def test_nothing_but_an_option(self) -> None:
        self.assertIn("there is no kind of endpoint ''", self.refused("="))

    def test_backslash_at_the_end(self) -> None:
        self.assertIn("ends in a backslash", self.refused("tcp:80\\"))

    def test_file_that_is_not_there(self) -> None:
        problem = self.refused("ssl:443:privateKey=/no/such.pem")
        self.assertIn("cannot read /no/such.pem: No such file", problem)

    def test_file_that_is_no_certificate(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("nothing")
        self.assertIn("key or certificate", self.refused(f"ssl:443:privateKey={path}"))

    def test_folder_without_certificates(self) -> None:
        path = os.path.abspath(self.mktemp())
        self.assertIn("no .pem file in " + path, self.refused(f"tls:{path}:0"))
        os.makedirs(os.path.join(path, "some.pem"))
        self.assertIn("no .pem file", self.refused(f"tls:{path}:0"))

    def test_folder_or_file_with_certificates(self) -> None:
        path = os.path.abspath(self.mktemp())
        os.makedirs(path)
        for given in (path, localhostFile(path)):
            reactor = MemoryReactorClock()
            endpointOf(reactor, listener(f"tls:{given}:7")).listen(Factory())
            self.assertEqual(len(reactor.tcpServers), 1)

    def test_folder_that_is_named_by_its_key(self) -> None:
        self.assertIn("no .pem file in /no/such", self.refused("tls:path=/no/such:port=7"))

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

    def test_socket_that_systemd_has_not_handed_over(self) -> None:
        self.assertIn("systemd has handed over", self.refused("systemd:domain=INET:name=nobody"))
        self.assertIn("systemd has handed over", self.refused("systemd:domain=INET:index=0"))

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

    def test_port_in_use_suggests_port_0(self) -> None:
        self.assertEqual(
            self.failed(errno.EADDRINUSE),
            "port 80 is in use on 127.0.0.1: stop whatever has it,"
            " or let the system choose with --port 0",
        )

    def test_port_in_use_of_serve_names_the_words(self) -> None:
        said = self.failed(errno.EADDRINUSE, host="", option="--serve echo@tcp:80")
        self.assertTrue(said.startswith("--serve echo@tcp:80: port 80 is in use on every address"))
        self.assertTrue(said.endswith("choose with port 0"))

    def test_privileged_port(self) -> None:
        self.assertIn("from 1024 up", self.failed(errno.EACCES))

    def test_address_of_another_machine(self) -> None:
        self.assertIn("no address 192.0.2.1", self.failed(errno.EADDRNOTAVAIL, "192.0.2.1"))

    def test_any_other_error(self) -> None:
        self.assertIn("port 80 of 127.0.0.1: Too many open files", self.failed(errno.EMFILE))

    def test_error_without_a_port(self) -> None:
        self.assertEqual(
            self.said(OverflowError("too\nlong"), "tcp:99999"), "cannot listen on tcp:99999: too"
        )

    def test_unix_socket_in_use(self) -> None:
        locked = CannotListenError(None, b"/a/s", "Cannot acquire lock")  # type: ignore[arg-type]
        self.assertIn("another process serves on /a/s", self.said(locked))
        there = OSError(errno.EADDRINUSE, "in use")
        error = CannotListenError(None, b"/a/s", there)  # type: ignore[arg-type]
        self.assertIn("there is a file /a/s already", self.said(error))

    def test_unix_socket_that_cannot_be(self) -> None:
        nowhere = OSError(errno.ENOENT, "No such file or directory")
        error = CannotListenError(None, b"/a/s", nowhere)  # type: ignore[arg-type]
        self.assertIn("cannot listen on /a/s: No such file", self.said(error))
        error = CannotListenError(None, b"/a/s", OSError("path too long"))  # type: ignore[arg-type]
        self.assertIn("path too long", self.said(error))
