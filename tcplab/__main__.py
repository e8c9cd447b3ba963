"""The ``tcplab`` command; ``python -m tcplab`` is the same."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

HELP = """usage: tcplab COMMAND [options]

  tcplab serve        start the server (as twistd -n tcplab does)
  tcplab connect      talk to a TCP server, by hand or in a script
  tcplab behaviours   list what the server can serve; with a NAME, its settings
  tcplab faults       list the faults; with a NAME, its fields and units
  tcplab chain        print the commands of a chain of relays, from a CSV file
  tcplab --version    print the version

tcplab serve --help, connect --help and chain --help list the options.
"""


def main(arguments: list[str] | None = None) -> NoReturn:
    """
    Run the command.

    :param arguments: what follows the command's name; the process's own if ``None``.
    :raises SystemExit: always; the status is 0 on success.
    """
    if os.name != "posix":
        from tcplab.windows import refuse

        refuse()
    words = sys.argv[1:] if arguments is None else arguments
    _openStandardDescriptors()
    _rememberFlags()
    try:
        _run(words)
    except KeyboardInterrupt:  # while modules are imported: the reactor does not run yet
        _endLine()
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        _restoreFlags()


def _run(words: list[str]) -> NoReturn:
    first, *rest = words or [""]
    if first in ("-h", "--help", "help"):
        _print(HELP)
    elif first in ("-V", "--version"):
        from tcplab import __version__

        _print(f"tcplab {__version__}\n")
    elif first in _COMMANDS:
        _COMMANDS[first](rest)
    else:
        _usageError(_unknownCommand(first), "tcplab")
    raise SystemExit(0)


def _unknownCommand(word: str) -> str:
    from tcplab.wire.suggestion import suggest

    commands = f"the commands are {', '.join(_COMMANDS)}"
    if not word:
        return f"give a command; {commands}"
    if word.startswith("-"):
        return f"{word} stands before the command: write tcplab serve {word} or connect; {commands}"
    return f"there is no command {word!r}{suggest(word, _COMMANDS, _SYNONYMS)}; {commands}"


def _serve(arguments: list[str]) -> None:
    """Run twistd on its plugin, in the foreground."""
    sys.argv = ["tcplab serve", "-n", "tcplab", *arguments]
    from twisted.scripts.twistd import run

    try:
        try:
            run()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:  # the reader of --help has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes again
        raise SystemExit(128 + signal.SIGPIPE) from None


def _behaviours(arguments: list[str]) -> None:
    """List the behaviours, or describe some."""
    from tcplab.config import catalogue

    _list(arguments, "behaviours", catalogue.behaviourTable, catalogue.behaviours)


def _faults(arguments: list[str]) -> None:
    """List the kinds of fault, or describe some."""
    from tcplab.config import catalogue

    _list(arguments, "faults", catalogue.faultTable, catalogue.faults)


def _list(
    arguments: list[str], command: str, table: Callable[[], str], entries: Callable[[], Any]
) -> None:
    from tcplab.config.catalogue import detail

    names = [each for each in arguments if each not in ("-h", "--help")]
    try:
        _print("\n".join(detail(entries(), name) for name in names) if names else table())
    except ValueError as problem:
        _usageError(f"{problem}; tcplab {command} lists all", "tcplab")


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

    from tcplab.reactor import clock

    clock.install()
    react(_converse, [options])


def _chain(arguments: list[str]) -> None:
    """Print the commands of a chain of relays."""
    from tcplab.config.chain import runChain

    try:
        _print(runChain(arguments))
    except ValueError as problem:
        _usageError(str(problem), "tcplab chain")


_COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "serve": _serve,
    "connect": _connect,
    "behaviours": _behaviours,
    "faults": _faults,
    "chain": _chain,
}

#: Words for the commands in other programs.
_SYNONYMS = {
    **dict.fromkeys(("server", "start", "run", "listen", "twistd"), "serve"),
    **dict.fromkeys(("client", "nc", "telnet", "open", "talk"), "connect"),
    **dict.fromkeys(("behaviors", "behavior", "protocols", "list"), "behaviours"),
    **dict.fromkeys(("kinds", "toxics"), "faults"),
}


def _converse(reactor: Any, options: Any) -> Any:
    """Begin the conversation; a signal ends the process."""
    from twisted.internet.defer import Deferred

    from tcplab.client.connect import connect

    def signalled(number: int, _frame: object) -> None:
        if number == signal.SIGINT:
            _endLine()
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
        with suppress(OSError):  # the exit status remains
            os.write(2, line.encode("utf-8", "surrogateescape") + b"\n")


def _endLine() -> None:
    """Move on from the ``^C`` that a terminal has shown."""
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\n")


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
    import fcntl

    for descriptor in _STANDARD:
        _flags[descriptor] = fcntl.fcntl(descriptor, fcntl.F_GETFL)


def _restoreFlags() -> None:
    """Make terminals and pipes block again: other processes share the flag."""
    import fcntl

    for descriptor, flags in _flags.items():
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _leaveAtOnce(status: int) -> NoReturn:
    _restoreFlags()
    os._exit(status)


if __name__ == "__main__":
    main()
