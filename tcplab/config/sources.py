"""Where options come from: the command line, then the environment, then a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from tcplab.config.configfile import ConfigFile
from tcplab.config.environment import fromEnvironment, variable
from tcplab.config.optionparsers import Option, Words
from tcplab.config.options import OPTIONS, SOURCES, Settings, fromWords


class Given(NamedTuple):
    """
    What all sources give together.

    :ivar words: arguments of `tcplab.config.options.fromWords`.
    :ivar settings: the settings that they make.
    """

    words: Mapping[str, Words]
    settings: Settings


class Sources:
    """
    The sources of the options of one lab. The first that has an option sets it.

    :param typed: the words of the command line, by the options' names; ``None`` or an empty list:
        the option is not given.
    :param environment: the variables.
    """

    def __init__(self, typed: Mapping[str, Words], environment: Mapping[str, str]) -> None:
        self._typed = {name: word for name, word in typed.items() if word not in (None, [])}
        self._environment = fromEnvironment(environment, {**OPTIONS, **SOURCES})
        path = self._typed.pop("config", self._environment.pop("config", None))
        self._shown = str(path)
        self._path = None if path is None else os.path.abspath(str(path))

    def read(self) -> Given:
        """
        Read all, the file anew.

        :raises SettingsError: what one of them gives is wrong, or contradicts another.
        """
        if self._path is None and not self._environment:
            return Given(self._typed, fromWords(**self._typed))
        file = None if self._path is None else ConfigFile(self._path, self._shown, OPTIONS)
        inFile = file.words if file is not None else {}
        words = {**inFile, **self._environment, **self._typed}

        def name(option: Option) -> str:
            if option.name in self._typed or option.name not in words:
                return option.flag
            if option.name in self._environment or file is None:
                return variable(option)
            return file.name(option)

        return Given(words, fromWords(_Names(name), **words))


class _Names(Mapping[str, str]):
    # What messages call the options. To find a line costs time, and no message may need it.
    def __init__(self, name: Callable[[Option], str]) -> None:
        self._name = name

    def __getitem__(self, name: str) -> str:
        return self._name(OPTIONS[name])

    def __iter__(self) -> Iterator[str]:
        return iter(OPTIONS)

    def __len__(self) -> int:
        return len(OPTIONS)
