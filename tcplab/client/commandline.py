"""The command line of ``tcplab connect``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from getopt import GetoptError, gnu_getopt

from tcplab.client.address import Address, parse
from tcplab.client.script import ExpectPattern, ExpectText, Send, Step
from tcplab.wire.escaping import unescape

HELP = r"""usage: tcplab connect HOST[:PORT] [options]

Hold one conversation with a TCP server and print what it says. On a terminal each line you
type is sent, until ^D. Input from a pipe or file is sent whole, and the answer read to its end.

HOST is a name or an address; also HOST:PORT, [IPv6]:PORT, unix:PATH or any Twisted client
endpoint string. The port is 50544 unless said.

  --send TEXT       say TEXT; \n, \r, \t, \0, \\ and \xNN are understood
  --expect TEXT     wait until TEXT comes, with anything before it; the same escapes
  --expect-re RE    wait for a match of a regular expression (Python's, on bytes)
                    These three repeat and are performed in the order given; stdin is not
                    read. A matched last --expect ends the conversation; after a last --send
                    the answer is read to its end.
  --timeout SECONDS for connecting, and for each --expect [5]
  --tls             speak TLS; the certificate must be trusted and for HOST
  --insecure        with --tls: take any certificate
  --proxy-header V  say a header of the PROXY protocol first, v1 or v2, before TLS too
  --hex             print a hex dump of what comes
  -q, --quiet       print nothing received, and nothing at all when all is well
  -h, --help        print this          --version         print the version

  tcplab connect localhost
  echo hello | tcplab connect localhost:8888
  tcplab connect localhost --expect 'You are connected!' --quiet    # a health check

The first word on stderr, and the exit code: OK 0, UNEXPECTED 1 (something else came), usage 2,
REFUSED 3, TIMEOUT 4 (connecting), DNS 5, RESET 6, EOF 7 (the server finished with nothing, or
only a beginning of what was expected, said), SILENT 8 (as little came in time), TLS 9, OTHER 10.
"""

_SHORT = "hq"
_LONG = ["send=", "expect=", "expect-re=", "timeout=", "tls", "insecure", "proxy-header=", "hex"]
_LONG += ["quiet", "help"]

# epoll counts milliseconds in an int, 24 days; a day is longer than any useful timeout.
_LONGEST = 86400.0


class UsageError(ValueError):
    """The command line is not valid; the text is one line for the user."""


@dataclass(frozen=True)
class ConnectOptions:
    """
    The options of one session.

    :ivar steps: what to send and expect; empty: stdin is sent.
    :ivar timeout: seconds for connecting and for each expectation.
    :ivar tls: TLS is added; an address may have its own.
    :ivar insecure: any certificate is accepted.
    :ivar proxyHeader: the version of the PROXY header that is sent first; ``None``: no header.
    :ivar hexadecimal: print a hex dump.
    :ivar quiet: print nothing received.
    """

    address: Address
    steps: tuple[Step, ...] = ()
    timeout: float = 5.0  # any round trip takes less than one; a lost SYN is resent after 1 and 3
    tls: bool = False
    insecure: bool = False
    proxyHeader: int | None = None
    hexadecimal: bool = False
    quiet: bool = False


class HelpRequested(Exception):
    """The command line asks for ``--help`` or ``--version``; the text is the answer."""


def parseOptions(arguments: list[str]) -> ConnectOptions:
    """
    Read the command line after ``tcplab connect``.

    :raises UsageError: it is not valid.
    :raises HelpRequested: it asks for help or for the version.
    """
    try:
        typed, hosts = gnu_getopt(arguments, _SHORT, [*_LONG, "version"])
    except GetoptError as problem:
        raise UsageError(problem.msg) from problem
    given = {name for name, _ in typed}
    if given & {"-h", "--help"}:
        raise HelpRequested(HELP)
    if "--version" in given:
        from tcplab import __version__

        raise HelpRequested(f"tcplab {__version__}\n")
    options = ConnectOptions(
        address=_address(hosts),
        steps=tuple(_STEP_PARSERS[name](value) for name, value in typed if name in _STEP_PARSERS),
        timeout=_timeout(typed),
        tls="--tls" in given,
        insecure="--insecure" in given,
        proxyHeader=_proxyHeader(typed),
        hexadecimal="--hex" in given,
        quiet=bool(given & {"-q", "--quiet"}),
    )
    _checkTLS(options)
    return options


def _address(hosts: list[str]) -> Address:
    if not hosts:
        raise UsageError("connect to which HOST?")
    if len(hosts) > 1:
        raise UsageError(f"one HOST only, not {' and '.join(map(repr, hosts))}")
    try:
        return parse(hosts[0])
    except ValueError as problem:
        raise UsageError(str(problem)) from problem


def _timeout(typed: list[tuple[str, str]]) -> float:
    text = next((value for name, value in reversed(typed) if name == "--timeout"), None)
    if text is None:
        return ConnectOptions.timeout
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST:
        raise UsageError(f"--timeout: {text!r} is no number of seconds above 0 and up to a day")
    return seconds


def _proxyHeader(typed: list[tuple[str, str]]) -> int | None:
    text = next((value for name, value in reversed(typed) if name == "--proxy-header"), None)
    if text not in (None, "v1", "v2"):
        raise UsageError(f"--proxy-header: {text!r} is not v1 or v2")
    return None if text is None else int(text[1:])


def _send(text: str) -> Step:
    return Send(_unescaped("--send", text))


def _expect(text: str) -> Step:
    if not text:
        raise UsageError("--expect: an empty text is always there; what should come?")
    return ExpectText(_unescaped("--expect", text))


def _expectPattern(text: str) -> Step:
    try:
        pattern = re.compile(os.fsencode(text))
    except (re.error, OverflowError, RecursionError) as problem:
        raise UsageError(f"--expect-re: {text!r}: {problem}") from problem
    if pattern.search(b""):
        raise UsageError(f"--expect-re: {text!r} matches nothing at all, so it always holds")
    return ExpectPattern(pattern)


_STEP_PARSERS = {"--send": _send, "--expect": _expect, "--expect-re": _expectPattern}


def _unescaped(option: str, text: str) -> bytes:
    try:
        return unescape(text)
    except ValueError as problem:
        raise UsageError(f"{option}: {problem}") from problem


def _checkTLS(options: ConnectOptions) -> None:
    """Refuse combinations that would not do what they seem to."""
    if options.proxyHeader and options.address.secure:
        raise UsageError(
            f"{options.address.label} begins with TLS, and --proxy-header has to stand before it:"
            " give HOST:PORT and --tls"
        )
    if options.insecure and not options.tls:
        raise UsageError("--insecure goes with --tls")
    if not options.tls:
        return
    if options.address.secure:
        raise UsageError(f"{options.address.label} speaks TLS already: leave out --tls")
    if options.address.host is None and not options.insecure:
        raise UsageError(
            f"{options.address.label} has no host name to verify: --tls needs --insecure there"
        )
