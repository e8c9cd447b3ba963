"""
Options from a file, in TOML::

    port = 50544
    max-connections = 100

    [[listeners]]
    behaviour = "echo,framing=lines"
    endpoint = "tcp:7000"

    [[faults]]
    kind = "latency"
    latency = "100ms"
    listener = "echo"

Paths are relative to the folder of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from tcplab.config.behaviourspec import parseServe
from tcplab.config.errors import SettingsError
from tcplab.config.optionparsers import Option, Words
from tcplab.config.tomlfile import Table, TOMLFile
from tcplab.faults.kindlookup import KINDS
from tcplab.faults.spec import commonFields, parseFault
from tcplab.wire.endpointstring import relativeTo

#: Settings of behaviours that are client endpoints.
_ENDPOINTS = re.compile(r"(,(?:next|to)=)((?:\\.|[^,\\@])*)")

#: The tables, and the option to which each adds values.
_TABLES = {"listeners": "serve", "faults": "faults"}


class ConfigFile:
    """
    A file of options, read once.

    :param path: its path.
    :param shown: its path, as messages have it.
    :param options: the options that it may set, by name.
    :ivar words: what is set, as if it were typed, by the options' names.
    :raises SettingsError: it cannot be read, or a key or a value is wrong; the text has the line.
    """

    def __init__(self, path: str, shown: str, options: Mapping[str, Option]) -> None:
        self._file = file = TOMLFile(path, shown)
        self._folder = os.path.dirname(os.path.abspath(path))
        keys = {each.flag.removeprefix("--"): each for each in options.values()}
        file.top.check([*keys, *_TABLES], "there is no option {}")
        self.words: dict[str, Words] = {}
        for key, option in keys.items():
            if key in file.top.values:
                self.words[option.name] = self._words(option, key)
        for key, name in _TABLES.items():
            make = self._listener if key == "listeners" else self._fault
            if made := [make(each) for each in file.tables(key)]:
                above = self.words.get(name)
                self.words[name] = [*above, *made] if isinstance(above, list) else made

    def name(self, option: Option) -> str:
        """Return what messages call an option that is set here."""
        key = option.flag.removeprefix("--")
        if key in self._file.top.values:
            return f"{self._file.where(key)}: {key}"
        table = next((each for each, name in _TABLES.items() if name == option.name), "")
        return f"{self._file.path}: [[{table}]]"

    # The keys above the tables

    def _words(self, option: Option, key: str) -> Words:
        top = self._file.top
        if option.repeatable:
            return [self._relative(option, each) for each in top.words(key)]
        return self._relative(option, top.word(key))

    def _relative(self, option: Option, word: str) -> str:
        if option.parser.path and word:
            return os.path.join(self._folder, word)
        if option.name == "behaviour":
            return self._relativeSpec(word)
        found = re.fullmatch(r"((?:\\.|[^\\@])*)@(.*)", word, re.DOTALL)
        if option.name == "serve" and found:
            return f"{self._relativeSpec(found[1])}@{relativeTo(self._folder, found[2])}"
        return word

    def _relativeSpec(self, spec: str) -> str:
        def relative(found: re.Match[str]) -> str:
            return found[1] + relativeTo(self._folder, found[2], client=True)

        return _ENDPOINTS.sub(relative, spec)

    # The tables

    def _listener(self, table: Table) -> str:
        table.check(("behaviour", "endpoint"), "[[listeners]] has no {}: it has {has}")
        behaviour, endpoint = table.needed("behaviour"), table.needed("endpoint")
        text = f"{self._relativeSpec(behaviour)}@{relativeTo(self._folder, endpoint)}"
        try:
            parseServe(text)
        except ValueError as e:
            raise table.error(e, "behaviour") from None
        return text

    def _fault(self, table: Table) -> str:
        name = table.needed("kind")
        listener = f"@{table.word('listener')}" if "listener" in table.values else ""
        try:
            kind = KINDS.get(name)
            if kind is not None:
                own = [*kind.named(), *commonFields(kind)]
                table.check(["kind", "listener", *own], f"{name} has no {{}}: it has {{has}}")
            fields = [key for key in table.values if key not in ("kind", "listener")]
            typed = [f"{key}={_quoted(table.word(key))}" for key in fields]
            text = ",".join([name, *typed]) + listener
            parseFault(text)
        except ValueError as e:
            raise e if isinstance(e, SettingsError) else table.error(e, "kind") from None
        return text


def _quoted(value: str) -> str:
    # A separator of a SPEC stands for itself here; other escapes belong to the value's reader.
    return re.sub(r"\\.|[,@=]", lambda each: each[0].rjust(2, "\\"), value, flags=re.DOTALL)
