"""``tcplab connect``: connect, hold the session that the options ask for, return its result."""

from __future__ import annotations

import os
from functools import partial

from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IAddress, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from tcplab.client.commandline import ConnectOptions
from tcplab.client.protocol import ClientProtocol, UserInterface
from tcplab.client.result import Outcome, Result, fromConnectError
from tcplab.client.script import Script, ScriptClient
from tcplab.reactor.clients import useNameResolver
from tcplab.reactor.interfaces import IReactor


class SingleUseFactory(Factory):
    """Give one protocol to the first of the connections that an endpoint may make."""

    noisy = False

    def __init__(self, client: ClientProtocol) -> None:
        self._client: ClientProtocol | None = client

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Return the protocol, once; then ``None``, which closes the connection."""
        client, self._client = self._client, None
        return client


async def connect(
    reactor: IReactor,
    options: ConnectOptions,
    *,
    stdin: int = 0,
    stdout: int = 1,
    encoding: str = "utf-8",
) -> Result:
    """
    Hold one session.

    :param stdin: the descriptor to read, if the options have no script.
    :param stdout: the descriptor to print on.
    :param encoding: the encoding of a terminal at ``stdout``.
    :raises AddressError: the endpoint string is not valid.
    """
    useNameResolver(reactor)
    endpoint = options.address.endpoint(reactor, options.timeout)
    client, console = _makeClient(reactor, options, stdin, stdout, encoding)
    client.silenceTimeout, client.shutdown = options.silence, options.shutdown
    client.crlf = options.crlf
    try:
        await _connect(reactor, endpoint, client, options)
    except CancelledError:
        raise
    except Exception as problem:
        return fromConnectError(problem, options.timeout, handshaking=client.transport is not None)
    result = await client.ended
    if console is None:
        return result
    lost = await console.close()
    # A failure of the session itself is more useful.
    return lost if lost is not None and result.outcome is Outcome.OK else result


async def _connect(
    reactor: IReactor,
    endpoint: IStreamClientEndpoint,
    client: ClientProtocol,
    options: ConnectOptions,
) -> None:
    """Connect, and complete the handshake of TLS, within the timeout."""
    factory: IProtocolFactory = SingleUseFactory(client)
    if options.tls:
        from tcplab.client.clienttls import overTLS

        factory = overTLS(factory, options.address.host, insecure=options.insecure)
    if options.proxyHeader:
        from tcplab.client.sendproxy import SendProxyFactory

        factory = SendProxyFactory(factory, options.proxyHeader)
    attempt = endpoint.connect(factory).addCallback(lambda _: client.established)
    attempt.addTimeout(options.timeout, reactor, lambda *_: Failure(error.TimeoutError()))
    await attempt


def _makeClient(
    reactor: IReactor, options: ConnectOptions, stdin: int, stdout: int, encoding: str
) -> tuple[ClientProtocol, UserInterface | None]:
    """Make the protocol that the options and descriptors ask for, and its console if it has one."""
    if options.steps and options.quiet:  # a health check imports no more than it needs
        return _makeScriptClient(reactor, options, None), None
    from tcplab.client.display import display
    from tcplab.client.standardio import Console
    from tcplab.client.terminal import Prompt, PromptedDisplay

    terminal = os.isatty(stdout)
    shown = display(
        terminal=terminal, hexadecimal=options.hexadecimal, quiet=options.quiet, encoding=encoding
    )
    if options.steps:
        console = Console(reactor, shown, stdin, stdout)
        return _makeScriptClient(reactor, options, console), console
    if not os.isatty(stdin) or options.quiet:
        from tcplab.client.pipe import PipeClient

        console = Console(reactor, shown, stdin, stdout)
        return PipeClient(reactor, console, options.timeout), console
    from tcplab.client.terminal import TerminalClient, TerminalLine

    erases = os.environ.get("TERM", "dumb") != "dumb"
    prompt = Prompt(TerminalLine(stdin), erases, lambda: os.get_terminal_size(stdout).columns or 80)
    console = Console(reactor, PromptedDisplay(shown, prompt) if terminal else shown, stdin, stdout)
    write = console.print if terminal else partial(os.write, 2)
    return TerminalClient(reactor, console, options.timeout, prompt, write), console


def _makeScriptClient(
    reactor: IReactor, options: ConnectOptions, console: UserInterface | None
) -> ClientProtocol:
    return ScriptClient(reactor, Script(options.steps), options.timeout, console)
