"""Endpoint strings as text: split, joined, and errors of their parsers in words for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

# A parser turns a string into a call: Python's error text for a wrong call, and its meaning here.
_EXPLANATIONS = {
    r"^[\w.<>]+\(\) ": "",
    r"missing 1 required positional argument: (.*)$": r"\1 is missing",
    r"missing \d+ required positional arguments: (.*)$": r"\1 are missing",
    r"got an unexpected keyword argument ('.*?').*$": r"there is no option \1",
    r"got multiple values for (?:keyword )?argument ('.*?')$": r"\1 is given twice",
    r"takes .*positional arguments? but \d+ (?:was|were) given$": "there is a word too many",
    r"^invalid literal for int\(\) with base \d+: (.*)$": r"\1 is no number",
    r"^\('unrecognized keyword arguments present', \[(.*)\]\)$": r"there is no option \1",
    r"^generator raised StopIteration$": "it ends in a backslash: write two for one",
    r"^Unknown endpoint type: ": "there is no kind of endpoint ",
}


def unescaped(text: str) -> str:
    """Return the text without its backslashes."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def split(text: str) -> tuple[str, list[str], dict[str, str]]:
    """
    Split a string as Twisted does into its kind, its other words and its options.

    A backslash at the end, which Twisted refuses, is kept.
    """
    parts = re.findall(r"((?:\\.(?!\Z)|\\(?=:\Z)|[^:\\])*):", text + ":", re.DOTALL)
    pairs = [re.fullmatch(r"((?:\\.|[^=\\])*)=(.*)", part, re.DOTALL) for part in parts]
    words = [unescaped(part) for part, pair in zip(parts, pairs, strict=True) if pair is None]
    options = {unescaped(pair[1]): unescaped(pair[2]) for pair in pairs if pair is not None}
    return words[0] if words else "", words[1:], options


def argument(name: str, words: Sequence[str], options: Mapping[str, str]) -> str:
    """Return an argument: the option of this name, else the first word, else an empty string."""
    return options.get(name) or "".join(words[:1])


def joined(words: Iterable[str], options: Mapping[str, str]) -> str:
    """Return the string that Twisted splits into these words and options."""
    named = (f"{_quoted(name)}={_quoted(value)}" for name, value in options.items())
    return ":".join([*map(_quoted, words), *named])


def _quoted(text: str) -> str:
    return re.sub(r"([\\:=])", r"\\\1", text)


def explained(error: Exception) -> str:
    """Describe in a few words the error that Twisted or Python raised for a string."""
    said = " ".join(str(error).split()) or f"it cannot be used ({type(error).__name__})"
    for pattern, meaning in _EXPLANATIONS.items():
        said = re.sub(pattern, meaning, said)
    return said


# What may stand before the endpoint that listens: limit:max=100:fault:stall,for=2s:tcp:8080.
_WRAPPERS = re.compile(r"(?:limit(?::[\w-]+=(?:\\.|[^:\\])*)*:|fault:(?:\\.|[^:\\])*:)*")

# The options of endpoints that are paths, of Twisted's and of ours.
_PATHS = "|".join(
    (
        *("address", "path", "privateKey", "certKey", "extraCertChain", "dhParameters", "ca"),
        *("certificate", "trustRoots", "caCertsDir"),
    )
)


def splitWrappers(text: str) -> tuple[str, str]:
    """Split an endpoint string before the endpoint that listens."""
    found = _WRAPPERS.match(text)
    wrappers = found[0] if found else ""
    return wrappers, text.removeprefix(wrappers)


def relativeTo(folder: str, text: str, client: bool = False) -> str:
    """
    Return an endpoint string whose relative paths begin in a folder.

    :param client: it is the string of a client's endpoint.
    """
    wrappers, inner = splitWrappers(text)
    kind = inner.partition(":")[0]
    first = kind == "unix" or (kind == "tls" and not client)
    parts = re.split(r"(?<!\\)((?:\\\\)*:)", inner)
    for at in range(2, len(parts), 2):
        option = re.match(rf"(?:{_PATHS})=", parts[at])
        named = re.match(r"\w+=", parts[at])
        if option or (first and at == 2 and not named):
            name = option[0] if option else ""
            parts[at] = name + _placed(folder, parts[at].removeprefix(name))
    return wrappers + "".join(parts)


def _placed(folder: str, path: str) -> str:
    if not path or path.startswith(("/", "@", "\0")):  # abstract: it is no file
        return path
    return _quoted(folder.rstrip("/") + "/") + path


def withAbstractPath(text: str) -> str:
    """
    Return an endpoint string in which the path of an abstract Unix socket begins as in the kernel.

    ``unix:@name`` is how systemd and HAProxy write it, and our port file; its first byte is NUL
    (unix(7)). A file of such a name is ``unix:./@name``.
    """
    wrappers, inner = splitWrappers(text)
    return wrappers + re.sub(r"^(unix:|unix:(?:.*:)?(?:address|path)=)@", "\\1\0", inner)


#: Ports by the names that are typed for them; containers have no /etc/services.
SERVICES = {
    **{"echo": 7, "discard": 9, "daytime": 13, "qotd": 17, "chargen": 19, "time": 37},
    **{"ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "pop3": 110, "imap": 143},
    **{"http": 80, "https": 443, "imaps": 993, "mysql": 3306, "postgresql": 5432, "redis": 6379},
}

_IPV6 = r"(?:[0-9A-Fa-f:]*::[0-9A-Fa-f:.]*|(?:[0-9A-Fa-f]+:){7}[0-9A-Fa-f]+)(?:%\w+)?"

# An address as people write it, and options behind it.
_PLACE = re.compile(
    rf"(?:\[({_IPV6})\]|({_IPV6})|([\w.*-]*))[ :]([0-9]{{1,5}}|[a-z][\w-]*)((?::\w+=.*)?)",
    re.DOTALL,
)

# An IPv6 address in brackets, or as the value of an option.
_UNQUOTED = re.compile(rf"\[({_IPV6})\]|(?<==)({_IPV6})(?=:\w+=|$)")


# The longest text that is compared with addresses: names have up to 253 characters.
_LONGEST = 1000


def meant(text: str, *, server: bool = False) -> str:
    r"""
    Return the endpoint string that a text was probably meant to be; empty if there is none.

    ``tcp://host:80``, ``host:ssh``, ``tcp:[::1]:80`` and ``tcp6:0:interface=::1`` are no endpoint
    strings, or others than they seem to be.

    :param server: the string describes where to listen, and not where to connect.
    """
    if len(text) > _LONGEST:
        return ""
    wrappers, inner = splitWrappers(text)
    better = _meant(inner, server)
    return f"{wrappers}{better}" if better != inner else ""


def _meant(text: str, server: bool) -> str:
    kind, place = "tcp", text
    if found := re.fullmatch(r"(tcp6?|ssl|tls|unix)(?:://|:)(.*?)/?", text, re.DOTALL):
        kind, place = found.groups()
    if kind == "unix":
        return f"unix:{place}" if "://" in text else text
    parts = None if server and kind == "tls" else _PLACE.fullmatch(place)
    if parts is None:
        return _quotedAddresses(text)
    host, port = parts[1] or parts[2] or parts[3], SERVICES.get(parts[4], parts[4])
    if not str(port).isdecimal():
        return text
    better = _listening(kind, host, port) if server else f"{kind}:{_quoted(host)}:{port}"
    return better + _quotedAddresses(parts[5])


def _listening(kind: str, host: str, port: object) -> str:
    host = "127.0.0.1" if host == "localhost" else host
    kind = "tcp6" if kind == "tcp" and ":" in host else kind
    return f"{kind}:{port}" + (f":interface={_quoted(host)}" if host.strip("*") else "")


def _quotedAddresses(text: str) -> str:
    return _UNQUOTED.sub(lambda address: _quoted(address[1] or address[2]), text)
