"""A TOML file and its tables, with errors that name the line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tcplab.config.errors import SettingsError
from tcplab.wire.suggestion import suggest

#: Bytes; a file of a thousand listeners has a tenth of it.
_MOST = 2**20


class TOMLFile:
    """
    A file, read once.

    :param path: its path.
    :param shown: its path, as messages have it.
    :ivar top: the keys above all tables.
    :raises SettingsError: it cannot be read, or is not TOML.
    """

    def __init__(self, path: str, shown: str) -> None:
        self.path = shown
        self._text = self._read(path)
        self._found = self._parsed()
        self.top = Table(self, self._found)

    def _read(self, path: str) -> str:
        try:
            with open(path, "rb") as file:
                data = file.read(_MOST + 1)
        except OSError as e:
            problem = e.strerror or str(e)
            raise SettingsError(f"cannot read {self.path}: {problem}: name a TOML file") from None
        if len(data) > _MOST:
            raise SettingsError(f"{self.path} is larger than 1 MiB: name a TOML file of options")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise SettingsError(f"{self.path} is not UTF-8: name a TOML file") from None

    def _parsed(self) -> dict[str, Any]:
        import tomllib  # only where there is a file

        try:
            return tomllib.loads(self._text)
        except ValueError as e:
            problem, _, place = str(e).partition(" (at ")
            line = re.match(r"line \d+", place)
            where = line[0] if line else "at its end"
            raise SettingsError(f"{self.path}, {where}: {problem}: mend the TOML") from None
        except RecursionError:
            raise SettingsError(f"{self.path} is nested too deeply: mend the TOML") from None

    def tables(self, name: str) -> list[Table]:
        """
        Return the tables ``[[name]]``.

        :raises SettingsError: the name belongs to another value.
        """
        found = self._found.get(name, [])
        if not (isinstance(found, list) and all(isinstance(each, dict) for each in found)):
            raise self.error(f"write [[{name}]] above the keys of each", name)
        return [Table(self, each, name, number) for number, each in enumerate(found)]

    def where(self, key: str, table: str = "", number: int = 0) -> str:
        """Return the place of a key in the ``number``-th of its tables: the path, and the line."""
        line = 0
        for at, inside, text in self._lines(table, number):
            if inside and re.match(rf"""\s*(["']?){re.escape(key)}\1\s*=""", text):
                line = at
                break
            if not line and re.match(rf"\s*\[+\s*{re.escape(table or key)}\s*\]", text):
                line = at
        return f"{self.path}, line {line}" if line else self.path

    def _lines(self, table: str, number: int) -> Iterator[tuple[int, bool, str]]:
        # The lines of one table, its header included; of the top: all lines, for a header there.
        here, count = "", -1
        for at, line in enumerate(self._text.splitlines(), 1):
            if header := re.match(r"\s*\[+\s*([\w-]+)\s*\]", line):
                here = header[1]
                count += here == table
            if not table or (here == table and count == number):
                yield at, here == table, line

    def error(self, problem: object, key: str, table: str = "", number: int = 0) -> SettingsError:
        """Return the error of a key."""
        return SettingsError(f"{self.where(key, table, number)}: {problem}")


class Table:
    """
    The keys of one table.

    :param file: has it.
    :param found: its values, by key; ``behavior`` is understood for ``behaviour``.
    :param name: the name of its header; empty: it is the top of the file.
    :param number: counts the tables of this name, from 0.
    """

    def __init__(
        self, file: TOMLFile, found: Mapping[str, Any], name: str = "", number: int = 0
    ) -> None:
        self._file = file
        self._place = name, number
        self.values = {
            "behaviour" if key == "behavior" else key: value for key, value in found.items()
        }

    def error(self, problem: object, key: str) -> SettingsError:
        """Return the error of a key; the text has the line."""
        return self._file.error(problem, key, *self._place)

    def check(self, known: Iterable[str], problem: str) -> None:
        """
        Refuse an unknown key.

        :param problem: the message about one; ``{}`` is replaced by the key and its near miss,
            ``{has}`` by the known keys.
        :raises SettingsError: there is one.
        """
        for key in self.values:
            if key not in known:
                text = problem.format(key + suggest(key, known), has=", ".join(known))
                raise self.error(text, key)

    def needed(self, key: str) -> str:
        """
        Return the word of a key that has to be there.

        :raises SettingsError: it is not.
        """
        if key not in self.values:
            raise self.error(f"[[{self._place[0]}]] needs {key} = ...", key)
        return self.word(key)

    def word(self, key: str) -> str:
        """Return what would be typed for the value of a key."""
        return self._word(self.values[key], key)

    def words(self, key: str) -> list[str]:
        """Return what would be typed for each of the values of a key."""
        value = self.values[key]
        if not isinstance(value, list):
            raise self.error(f"{key} takes a list: write {key} = [{value!r}]", key)
        return [self._word(each, key) for each in value]

    def _word(self, value: object, key: str) -> str:
        if isinstance(value, str):
            if "\0" in value:  # no path has one, and none can be typed
                raise self.error(f"{key} has a NUL character: leave it out", key)
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"{key} is {value!r}: give a text or a number", key)
        return str(value) if isinstance(value, int) else format(value, "f").rstrip("0").rstrip(".")
