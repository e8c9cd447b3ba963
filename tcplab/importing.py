"""Import a dotted name, and describe in one line why that failed."""

from __future__ import annotations

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from tcplab.wire.suggestion import suggest

# Frames in this folder only report the mistake of a user's module.
_OURS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


def _libraries() -> tuple[str, ...]:
    # Where the frames are of what runs a user's code. Commands that run none do without Twisted.
    folders = [
        os.path.dirname(sys.modules[each].__file__ or "")
        for each in ("os", "twisted")
        if each in sys.modules
    ]
    return _OURS, "<frozen importlib", *(os.path.join(each, "") for each in folders)


class ImportFailed(ValueError):
    """A dotted name cannot be imported; the text is one line that says what to do."""


def importName(name: str) -> object:
    """
    Import ``package.module.Name``, from the current directory too.

    :raises ImportFailed: there is no such module or no such name in it, or its import fails. Then
        the text has the file and the line of the innermost frame.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise ImportFailed(f"{name} is no name: write {meantName(name) or 'package.module.Name'}")
    module, rest = _module(name, parts)
    found: object = module
    for number, part in enumerate(rest):
        try:
            found = getattr(found, part)
        except AttributeError:
            file = f"{parts[0]}.py"
            if module is found and os.path.isfile(file) and not _isFile(module, file):
                raise ImportFailed(
                    f"{parts[0]} is another module, with that name already: rename {file}"
                ) from None
            better = meantName(name)
            if better:
                raise ImportFailed(f"{name} is no class: write {better}") from None
            known = [each for each in dir(found) if not each.startswith("_")]
            where = ".".join(parts[: len(parts) - len(rest) + number])
            raise ImportFailed(
                f"{where} has no {part}{suggest(part, known)}: check the name's spelling"
            ) from None
    return found


def meantName(typed: str) -> str:
    """
    Return the name that was probably meant by another form of it; empty: there is no such module.

    ``shout``, ``shout.py``, ``shout:Shout``, ``./shout.py:Shout`` and ``shout.Shout()`` are
    ``shout.Shout``.
    """
    found = re.fullmatch(r"(?:\./)?([\w/]+)(\.py)?(?:[:.](\w+))?(\(\))?", typed)
    if not found or not os.path.isfile(f"{found[1]}.py"):
        return ""
    with open(f"{found[1]}.py", encoding="utf-8", errors="replace") as file:
        first = re.search(r"^class (\w+)", file.read(), re.MULTILINE)
    meant = f"{found[1].replace('/', '.')}.{found[3] or (first[1] if first else 'Name')}"
    return "" if meant == typed else meant


def _isFile(module: object, file: str) -> bool:
    own = getattr(module, "__file__", None)
    return own is not None and os.path.isfile(own) and os.path.samefile(own, file)


def _module(name: str, parts: list[str]) -> tuple[object, list[str]]:
    # The longest beginning that is a module. An error inside a module is reported as its own.
    module: object = None
    for length in range(1, len(parts) + 1):
        path = ".".join(parts[:length])
        if not _exists(path, module):
            if module is None:
                raise ImportFailed(
                    f"there is no module {path} for {name}: start the server in the folder that"
                    f" {path}.py is in (here it is {os.getcwd()}), or install it"
                )
            return module, parts[length - 1 :]
        module = _imported(path)
    return module, []


def _exists(path: str, parent: object) -> bool:
    if parent is not None and not hasattr(parent, "__path__"):
        return False
    try:
        return find_spec(path) is not None
    except (ImportError, ValueError):  # ValueError: a module without __spec__, __main__ say
        return path in sys.modules


def _imported(path: str) -> object:
    run = _ReactorRun()
    try:
        with run:
            module = import_module(path)
    except KeyboardInterrupt as e:  # it waited for something, perhaps for a client
        where = _place(e.__traceback__)
        raise ImportFailed(f"{path} cannot be imported: interrupted in {where}{_ONLY}") from None
    except (Exception, SystemExit) as e:
        if not run.where and not _isOfRun(e):
            problem = describeImportError(e)
            raise ImportFailed(f"{path} cannot be imported: {problem}: mend it") from None
        run.where = run.where or _place(e.__traceback__)
    if run.where:
        raise ImportFailed(f"{run.where} runs the reactor while {path} is imported{_ONLY}")
    return module


# What is for a program that is run, and not for a module that is imported.
_ONLY = ": put that under if __name__ == '__main__'"


class _ReactorRun:
    """
    Stops a reactor that a module runs while it is imported, which else would never end.

    :ivar where: the file and the line that ran it; empty: none did.
    """

    where = ""

    def __enter__(self) -> None:
        self._reactor: Any = sys.modules.get("twisted.internet.reactor")
        if self._reactor is not None and not self._reactor.running:
            self._trigger = self._reactor.addSystemEventTrigger("before", "startup", self._stop)
        else:
            self._reactor = None

    def _stop(self) -> None:
        self.where = _place(None)
        self._reactor.stop()

    def __exit__(self, *exception: object) -> None:
        if self._reactor is not None and not self.where:
            self._reactor.removeSystemEventTrigger(self._trigger)


def _isOfRun(error: BaseException) -> bool:
    # task.react() calls the program's main function before it runs the reactor.
    from twisted.internet.error import ReactorAlreadyRunning

    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, ReactorAlreadyRunning) or any(
        each.name == "react" and each.filename.startswith(_libraries()) for each in frames
    )


def _place(raised: TracebackType | None) -> str:
    """Return the innermost line of a user's module: of a traceback, or of what runs now."""
    stack = traceback.extract_tb(raised) if raised else traceback.extract_stack()
    libraries = _libraries()
    frames = [each for each in stack if not each.filename.startswith(libraries)]
    return f"{_shown(frames[-1].filename)}, line {frames[-1].lineno}" if frames else "a library"


def requiredArguments(function: Callable[..., object]) -> list[str]:
    """Return the arguments without a default of a function or a class."""
    return [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]


def describeImportError(error: BaseException) -> str:
    """Describe an exception in one line: its type, its text, the file and line that raised it."""
    frames = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen importlib", _OURS))
    ]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = ": ".join([type(error).__name__, *text.splitlines()[:1]])
    if not frames:
        return text
    file, line = frames[-1]
    return f"{_shown(file)}, line {line}: {text}"


def _shown(file: str) -> str:
    isHere = os.path.abspath(file).startswith(os.path.join(os.getcwd(), ""))
    return os.path.relpath(file) if isHere else file
