"""The command line of ``tcplab connect``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from getopt import GetoptError, gnu_getopt

from tcplab.client.address import Address, parse
from tcplab.client.script import ExpectPattern, ExpectText, Send, Step
from tcplab.wire.endpointstring import SERVICES
from tcplab.wire.escaping import unescape
from tcplab.wire.suggestion import suggest

HELP = r"""usage: tcplab connect HOST[:PORT] [options]

Talk to a TCP server, and print what it sends. On a terminal, each line that
you type is sent, until ^D. Input from a pipe or a file is sent whole, and the
answer is read to its end.

HOST is a name or an address. Other forms: [IPv6]:PORT, unix:PATH, and any
Twisted client endpoint string. The default port is 50544.

  --send TEXT         send TEXT; \n, \r, \t, \0, \\ and \xNN are understood
  --expect TEXT       wait until TEXT arrives, with anything before it
  --expect-re REGEX   wait for a match of a regular expression on bytes
                      These three repeat, and run in the order given; stdin is
                      not read. After a last --expect the connection ends;
                      after a last --send the answer is read to its end.
  --timeout SECONDS   the limit to connect, and of each --expect [5]; if given,
                      also of silence after the last --send or the end of stdin
  -C, --crlf          send each newline as CR LF
  --no-shutdown       send no FIN at the end of the input: some servers and
                      proxies take it for the end of the connection
  --tls               use TLS; the certificate must be trusted, and be for HOST
  --insecure          with --tls: accept any certificate
  --proxy-header V    send a PROXY protocol header first: v1 or v2
  --hex               print a hex dump
  -q, --quiet         print nothing that arrives, and nothing on success
  -h, --help          print this          --version         print the version

  tcplab connect localhost
  echo hello | tcplab connect localhost:8888
  tcplab connect localhost --expect 'You are connected!' --quiet

The last line on stderr begins with a word, which is the exit status too: OK 0,
UNEXPECTED 1 (other bytes arrived), usage 2, REFUSED 3, TIMEOUT 4 (to connect),
DNS 5, RESET 6, EOF 7 (the server closed, and nothing arrived or too little),
SILENT 8 (nothing arrived in time, or too little), TLS 9, OTHER 10.
"""

_SHORT = "hqC"
_LONG = ["send=", "expect=", "expect-re=", "timeout=", "tls", "insecure", "proxy-header=", "hex"]
_LONG += ["quiet", "help", "crlf", "no-shutdown", "version"]

_PORT = "the port is part of the address, as in localhost:80"

# What other clients call it.
_HINTS = {
    **dict.fromkeys(("p", "port", "P"), _PORT),
    **dict.fromkeys(("w", "i", "wait", "idle-timeout", "T"), "write --timeout SECONDS"),
    **dict.fromkeys(("l", "listen", "k", "keep-open"), "a server is tcplab serve"),
    **dict.fromkeys(("u", "udp"), "it speaks TCP only"),
    **dict.fromkeys(("s", "d", "data"), "write --send TEXT"),
    **dict.fromkeys(("ssl", "t"), "write --tls"),
    **dict.fromkeys(("v", "verbose"), "the last line says how the connection ended"),
    **dict.fromkeys(("N", "shutdown"), "leave it out: the end of the input sends FIN"),
    "z": "write --timeout 1 < /dev/null",
    "U": "write unix:PATH",
    **dict.fromkeys(("4", "6", "n"), "write the address in place of the name"),
}

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
    :ivar silence: seconds of silence that end the session once all is sent; ``None``: no limit.
    :ivar shutdown: send FIN once all is sent.
    :ivar crlf: send each newline as CR LF.
    :ivar tls: TLS is added; an address may have its own.
    :ivar insecure: any certificate is accepted.
    :ivar proxyHeader: the version of the PROXY header that is sent first; ``None``: no header.
    :ivar hexadecimal: print a hex dump.
    :ivar quiet: print nothing received.
    """

    address: Address
    steps: tuple[Step, ...] = ()
    timeout: float = 5.0  # any round trip takes less than one; a lost SYN is resent after 1 and 3
    silence: float | None = None
    shutdown: bool = True
    crlf: bool = False
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
        typed, hosts = gnu_getopt(arguments, _SHORT, _LONG)
    except GetoptError as problem:
        raise UsageError(problem.msg + _hint(problem)) from problem
    given = {name for name, _ in typed}
    if given & {"-h", "--help"}:
        raise HelpRequested(HELP)
    if "--version" in given:
        from tcplab import __version__

        raise HelpRequested(f"tcplab {__version__}\n")
    timeout, shutdown = _timeout(typed), "--no-shutdown" not in given
    options = ConnectOptions(
        address=_address(hosts),
        steps=tuple(_STEP_PARSERS[name](value) for name, value in typed if name in _STEP_PARSERS),
        timeout=timeout,
        silence=timeout if "--timeout" in given or not shutdown else None,
        shutdown=shutdown,
        crlf=bool(given & {"-C", "--crlf"}),
        tls="--tls" in given,
        insecure="--insecure" in given,
        proxyHeader=_proxyHeader(typed),
        hexadecimal="--hex" in given,
        quiet=bool(given & {"-q", "--quiet"}),
    )
    _checkTLS(options)
    if not shutdown and options.steps and not isinstance(options.steps[-1], Send):
        raise UsageError("--no-shutdown changes nothing: the last --expect ends the connection")
    return options


def _hint(problem: GetoptError) -> str:
    """Return what to type in place of an unknown option."""
    if "not recognized" not in problem.msg:
        return ""
    if problem.opt in _HINTS:
        return f": {_HINTS[problem.opt]}"
    return suggest(f"--{problem.opt}", [f"--{name.removesuffix('=')}" for name in _LONG])


def _address(hosts: list[str]) -> Address:
    if not hosts:
        raise UsageError("give a HOST, as in tcplab connect localhost")
    if len(hosts) > 1:
        host, port = hosts[0], str(SERVICES.get(hosts[1], hosts[1]))
        if len(hosts) == 2 and port.isdecimal():
            host = f"[{host}]" if ":" in host else host
            raise UsageError(f"HOST and port are one word: write {host}:{port}")
        raise UsageError(f"give one HOST, not {' and '.join(map(repr, hosts))}")
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
        raise UsageError("--expect: an empty text is always there: give the text to wait for")
    return ExpectText(_unescaped("--expect", text))


def _expectPattern(text: str) -> Step:
    try:
        pattern = re.compile(os.fsencode(text))
    except (re.error, OverflowError, RecursionError) as problem:
        raise UsageError(f"--expect-re: {text!r}: {problem}") from problem
    if pattern.search(b""):
        raise UsageError(f"--expect-re: {text!r} matches nothing at all, so it is always there")
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
