r"""
The command line of ``tcplab chain``: the commands of a chain of relays, from a list of names.

>>> print(chainCommands(readStudents("ada,10.0.0.7\nbob,10.0.0.8\n")), end="")
# 1 of 2: ada on 10.0.0.7
tcplab serve --interface 0.0.0.0 --port 20551 --behaviour relay,name=ada,next=tcp:10.0.0.8:20551,...
"""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from getopt import GetoptError, gnu_getopt
from ipaddress import ip_address
from typing import NamedTuple

from tcplab.config.errors import SettingsError
from tcplab.wire.endpointstring import joined
from tcplab.wire.names import FRAMINGS
from tcplab.wire.suggestion import suggest

# Outside the range that Linux gives to clients, where another program may hold a port.
_PORT = 20551

#: Characters; a list of a thousand names has a tenth of it.
_MOST = 2**20

# Seconds that a node waits longer than the next: the node beside a silent one answers first.
# Thirty answers pass a local network in a small part of it.
_STEP = 0.1

HELP = f"""usage: tcplab chain --csv FILE [options]

Print the commands of a chain of relays, one for each student. A message
passes through all of them, and each adds its name.

Each line of FILE is NAME,HOST or NAME,HOST,PORT. A line with a NAME only
is a relay on this machine. A first line "name,host,port" is skipped.

  --csv FILE         the names and addresses; - for standard input
  --port PORT        where lines without a port listen [{_PORT}]; several on one
                     machine take the ports that follow
  --last ENDPOINT    a program behind the last relay, as in tcp:10.0.0.9:8888
  --greeting TEXT    what each relay sends first: for clients that read first
  --framing NAME     lines, or stream for programs that send no newline [lines]
  --timeout SECONDS  what the last relay waits for an answer [5]; each relay
                     before it waits {_STEP:g} s longer than the next
  -h, --help         print this

  tcplab chain --csv names.csv
"""

_OPTIONS = ["csv=", "port=", "last=", "greeting=", "framing=", "timeout=", "help"]


class Student(NamedTuple):
    """
    A line of the list.

    :ivar port: 0 stands for the next one that is free on this host.
    """

    name: str
    host: str
    port: int


@dataclass(frozen=True)
class ChainOptions:
    """What all relays of a chain have in common; `HELP` describes each."""

    port: int = _PORT
    last: str = ""
    greeting: str = ""
    framing: str = "lines"
    timeout: float = 5.0


def runChain(arguments: Sequence[str]) -> str:
    """
    Return what ``tcplab chain`` prints.

    :param arguments: the words after ``tcplab chain``.
    :raises SettingsError: they are not valid, or the list cannot be read; the text is one line.
    """
    try:
        typed, rest = gnu_getopt(list(arguments), "h", _OPTIONS)
    except GetoptError as problem:
        known = [f"--{name.removesuffix('=')}" for name in _OPTIONS]
        near = suggest(f"--{problem.opt}", known) if "not recognized" in problem.msg else ""
        raise SettingsError(problem.msg + near) from None
    given = {name.lstrip("-"): value for name, value in typed}
    if given.keys() & {"h", "help"}:
        return HELP
    if "csv" not in given or rest:
        raise SettingsError("give the list of names: --csv FILE")
    options = ChainOptions(
        port=_port(given["port"], "--port") if "port" in given else _PORT,
        last=given.get("last", ""),
        greeting=given.get("greeting", ""),
        framing=given.get("framing", "lines"),
        timeout=_seconds(given.get("timeout", "5")),
    )
    if options.framing not in FRAMINGS:
        raise SettingsError(f"--framing {options.framing}: use {', '.join(FRAMINGS)}")
    return chainCommands(readStudents(_contents(given["csv"])), options)


def readStudents(text: str) -> list[Student]:
    """
    Read the list: ``NAME``, ``NAME,HOST`` or ``NAME,HOST,PORT`` in each line.

    :raises SettingsError: a line is none of these; the text is one line.
    """
    separator = ";" if ";" in text and "," not in text else ","
    rows = csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True)
    students: list[Student] = []
    try:
        for number, row in enumerate(rows, start=1):
            cells = [cell.strip() for cell in row]
            if any(cells) and not (number == 1 and cells[0].lower() == "name"):
                students.append(_student(cells, f"line {number}"))
    except csv.Error as problem:
        raise SettingsError(f"line {rows.line_num}: {problem}") from None
    if not students:
        raise SettingsError("the list is empty: write NAME,HOST in each line")
    bare = [each.name for each in students if not each.host]
    if bare and len(bare) < len(students):
        raise SettingsError(f"{bare[0]} has no host: write {bare[0]},HOST")
    return [each._replace(host=each.host or "127.0.0.1") for each in students]


def chainCommands(students: Sequence[Student], options: ChainOptions | None = None) -> str:
    """
    Return the command for each student's machine, and that of a client, as lines of a shell.

    :raises SettingsError: two relays have the same address; the text is one line.
    """
    options = options or ChainOptions()
    nodes = list(_placed(students, options.port))
    lines = []
    for number, node in enumerate(nodes, start=1):
        after = nodes[number : number + 1]
        to = joined(["tcp", after[0].host, str(after[0].port)], {}) if after else options.last
        timeout = options.timeout + _STEP * (len(nodes) - number)
        lines += [
            f"# {number} of {len(nodes)}: {node.name} on {node.host}",
            shlex.join(_command(node, to, timeout, options)),
            "",
        ]
    first = nodes[0]
    host = f"[{first.host}]" if ":" in first.host else first.host
    lines += ["# the client", shlex.join(["tcplab", "connect", f"{host}:{first.port}"])]
    return "\n".join(lines) + "\n"


def _command(node: Student, to: str, timeout: float, options: ChainOptions) -> list[str]:
    settings = {
        "name": node.name,
        "next": to,
        "timeout": f"{timeout:g}",
        "framing": "" if options.framing == "lines" else options.framing,
    }
    written = [f"{key}={_escaped(value)}" for key, value in settings.items() if value]
    if options.greeting:  # its escapes are the user's
        written.append("greeting=" + _escaped(options.greeting, ",@="))
    interface = _interface(node.host)
    opened = ["--interface", interface] if interface else []
    spec = ",".join(["relay", *written])
    return ["tcplab", "serve", *opened, "--port", str(node.port), "--behaviour", spec]


def _placed(students: Sequence[Student], port: int) -> Iterator[Student]:
    """Yield the students, each with its port; refuse an address that is given twice."""
    given = [each for each in students if each.port]
    taken = {(each.host, each.port): each for each in given}
    for each in given:
        other = taken[each.host, each.port]
        if other is not each:
            raise SettingsError(
                f"{each.name} and {other.name} are both on {each.host}:{each.port}: change one port"
            )
    following: dict[str, int] = {}
    for each in students:
        free = each.port or following.get(each.host, port)
        while not each.port and (each.host, free) in taken:
            free += 1
        if not each.port:
            following[each.host] = free + 1
        yield each._replace(port=_port(str(free), each.name))


def _student(cells: list[str], where: str) -> Student:
    name, host, port = [*cells, "", ""][:3]
    if not name or not name.isprintable() or any(cells[3:]):
        raise SettingsError(f"{where}: write NAME,HOST or NAME,HOST,PORT")
    return Student(name, host.strip("[]"), _port(port, where) if port else 0)


def _interface(host: str) -> str:
    """Return what ``--interface`` has to be for a host; empty for this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return "" if host == "localhost" else "0.0.0.0"
    if address.is_loopback:
        return "" if address.version == 4 else host
    return "::" if address.version == 6 else "0.0.0.0"


def _port(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise SettingsError(f"{where}: {text!r} is no port: give a number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86400:
        raise SettingsError(f"--timeout {text}: give a number of seconds above 0, up to a day")
    return seconds


def _escaped(value: str, special: str = "\\,@=") -> str:
    return "".join(f"\\{each}" if each in special else each for each in value)


def _contents(path: str) -> str:
    try:
        if path == "-":
            text = sys.stdin.read(_MOST + 1)
        else:
            with open(path, encoding="utf-8-sig") as file:
                text = file.read(_MOST + 1)
    except OSError as problem:
        raise SettingsError(f"--csv {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"--csv {path}: save it as UTF-8") from None
    if len(text) > _MOST:
        raise SettingsError(f"--csv {path}: longer than 1 MiB: name a list of names")
    return text
