"""The ``tcplab`` command; ``python -m tcplab`` is the same."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

HELP = """usage: tcplab connect HOST[:PORT] [options]

  tcplab connect    hold one conversation with a TCP server, for people and for scripts
                    (tcplab connect --help says more)
  tcplab chain      print the commands of a chain of relays, from a list of names
                    (tcplab chain --help says more)
  tcplab --version  print the version

The server is: twistd -n tcplab [options]    (twistd tcplab --help says more)
"""


def main(arguments: list[str] | None = None) -> NoReturn:
    """
    Run the command.

    :param arguments: what follows the command's name; the process's own if ``None``.
    :raises SystemExit: always; the status is 0 when all is well.
    """
    words = sys.argv[1:] if arguments is None else arguments
    _openStandardDescriptors()
    _rememberFlags()
    try:
        _run(words)
    except KeyboardInterrupt:  # while modules are imported: the reactor does not run yet
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        _restoreFlags()


def _run(words: list[str]) -> NoReturn:
    first, *rest = words or [""]
    if first in ("-h", "--help"):
        _print(HELP)
    elif first == "--version":
        from tcplab import __version__

        _print(f"tcplab {__version__}\n")
    elif first in _COMMANDS:
        _COMMANDS[first](rest)
    elif not first:
        _usageError("which command? there is: tcplab connect HOST", "tcplab")
    else:
        _usageError(f"unknown command {first!r}; there is: tcplab connect HOST", "tcplab")
    raise SystemExit(0)


def _connect(arguments: list[str]) -> None:
    """Hold one conversation and exit with its outcome."""
    from tcplab.client.commandline import HelpRequested, UsageError, parseOptions

    try:
        options = parseOptions(arguments)
    except UsageError as problem:
        _usageError(str(problem), "tcplab connect")
    except HelpRequested as answer:
        _print(str(answer))
        return

    from twisted.internet.task import react

    react(_converse, [options])


def _chain(arguments: list[str]) -> None:
    """Print the commands of a chain of relays."""
    from tcplab.config.chain import runChain

    try:
        _print(runChain(arguments))
    except ValueError as problem:
        _usageError(str(problem), "tcplab chain")


_COMMANDS: dict[str, Callable[[list[str]], None]] = {"connect": _connect, "chain": _chain}


def _converse(reactor: Any, options: Any) -> Any:
    """Begin the conversation; a signal ends the process."""
    from twisted.internet.defer import Deferred

    from tcplab.client.connect import connect

    def signalled(number: int, _frame: object) -> None:
        # No thread is waited for, such as a resolver that still looks up a name.
        _leaveAtOnce(128 + number)

    def handleSignals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signalled)

    handleSignals()
    reactor.callWhenRunning(handleSignals)  # after the reactor has installed its own
    encoding = sys.stdout.encoding if sys.stdout is not None else "utf-8"
    conversation = Deferred.fromCoroutine(connect(reactor, options, encoding=encoding))
    return conversation.addCallbacks(_report, _notUnderstood, callbackArgs=(options,))


def _report(ending: Any, options: Any) -> NoReturn:
    from tcplab.client.result import Outcome

    _restoreFlags()
    _printError(ending.line(options.address.label, options.quiet))
    if ending.outcome is Outcome.TIMEOUT:
        # The thread that still looks up the name would delay the exit by many seconds.
        _leaveAtOnce(ending.outcome)
    raise SystemExit(int(ending.outcome))


def _notUnderstood(failure: Any) -> Any:
    from tcplab.client.address import AddressError

    failure.trap(AddressError)
    _usageError(str(failure.value), "tcplab connect")


# What is printed


def _usageError(problem: str, command: str) -> NoReturn:
    """Print what is wrong with the command line, and exit."""
    _printError(f"usage: {problem} ({command} --help says more)")
    raise SystemExit(2)


def _printError(line: str) -> None:
    """Print a line on stderr; an empty line and a closed stderr are left out."""
    if line:
        with suppress(OSError):  # the exit status tells as much
            os.write(2, line.encode("utf-8", "surrogateescape") + b"\n")


def _print(text: str) -> None:
    try:
        os.write(1, text.encode())
    except BrokenPipeError:
        raise SystemExit(128 + signal.SIGPIPE) from None


# The process's own descriptors

_STANDARD = (0, 1, 2)
_flags: dict[int, int] = {}


def _openStandardDescriptors() -> None:
    """Open the standard descriptors that the caller has closed, before a socket gets one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) in _STANDARD:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _rememberFlags() -> None:
    for descriptor in _STANDARD:
        _flags[descriptor] = fcntl.fcntl(descriptor, fcntl.F_GETFL)


def _restoreFlags() -> None:
    """Make terminals and pipes block again: other processes share the flag."""
    for descriptor, flags in _flags.items():
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _leaveAtOnce(status: int) -> NoReturn:
    _restoreFlags()
    os._exit(status)


if __name__ == "__main__":
    main()
