"""``tcplab connect``: dial, hold the conversation the options ask for, say how it ended."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from tcplab.client.commandline import Options
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Outcome, Result, fromConnectError
from tcplab.client.script import Script


class SingleUseFactory(Factory):
    """Give one call to the first connection there is, of the several that an endpoint may try."""

    noisy = False

    def __init__(self, call: ClientProtocol) -> None:
        self._call: ClientProtocol | None = call

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Return the call, once."""
        call, self._call = self._call, None
        return call


async def connect(
    reactor: Any, options: Options, *, stdin: int = 0, stdout: int = 1, encoding: str = "utf-8"
) -> Result:
    """
    Hold one conversation.

    :param stdin: the descriptor to read, where the options ask for no script.
    :param stdout: the descriptor to print on.
    :param encoding: what a terminal at ``stdout`` shows.
    :raises AddressError: the endpoint string is not understood.
    """
    endpoint = options.address.endpoint(reactor, options.timeout)
    call, console = _prepare(reactor, options, stdin, stdout, encoding)
    try:
        await _dial(reactor, endpoint, call, options)
    except CancelledError:
        raise
    except Exception as problem:
        return fromConnectError(problem, options.timeout, handshaking=call.transport is not None)
    ending = await call.ended
    if console is None:
        return ending
    lost = await console.close()
    # What was wrong with the conversation itself says more.
    return lost if lost is not None and ending.outcome is Outcome.OK else ending


async def _dial(reactor: Any, endpoint: Any, call: ClientProtocol, options: Options) -> None:
    """Connect, and on TLS shake hands, within the timeout."""
    factory: Any = SingleUseFactory(call)
    if options.tls:
        from tcplab.client.clienttls import overTLS

        factory = overTLS(factory, options.address.host, insecure=options.insecure)
    if options.proxyHeader:
        from tcplab.client.sendproxy import SendProxyFactory

        factory = SendProxyFactory(factory, options.proxyHeader)
    attempt = endpoint.connect(factory).addCallback(lambda _: call.begun)
    attempt.addTimeout(options.timeout, reactor, lambda *_: Failure(error.TimeoutError()))
    await attempt


def _prepare(
    reactor: Any, options: Options, stdin: int, stdout: int, encoding: str
) -> tuple[ClientProtocol, Any]:
    """Make the call that the options and the descriptors ask for, and its console if it has one."""
    if options.steps and options.quiet:  # a health check: nothing is imported that isn't needed
        return _scripted(reactor, options, None), None
    from tcplab.client.console import Console
    from tcplab.client.display import display
    from tcplab.client.terminal import Prompt, Prompted

    terminal = os.isatty(stdout)
    shown = display(
        terminal=terminal, hexadecimal=options.hexadecimal, quiet=options.quiet, encoding=encoding
    )
    if options.steps:
        console = Console(reactor, shown, stdin, stdout)
        return _scripted(reactor, options, console), console
    if not os.isatty(stdin) or options.quiet:
        from tcplab.client.pipe import PipeClient

        console = Console(reactor, shown, stdin, stdout)
        return PipeClient(reactor, console, options.timeout), console
    from tcplab.client.terminal import TerminalClient

    prompt = Prompt(erases=os.environ.get("TERM", "dumb") != "dumb")
    console = Console(reactor, Prompted(shown, prompt) if terminal else shown, stdin, stdout)
    ask = console.print if terminal else partial(os.write, 2)
    return TerminalClient(reactor, console, options.timeout, prompt, ask), console


def _scripted(reactor: Any, options: Options, console: Any) -> ClientProtocol:
    from tcplab.client.script import ScriptClient

    return ScriptClient(reactor, Script(options.steps), options.timeout, console)
