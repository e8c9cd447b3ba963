"""Import a dotted name, and describe in one line why that failed."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from tcplab.wire.suggestion import suggest

# Frames in this folder only report the mistake of a user's module.
_OURS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


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
        raise ImportFailed(f"{name} is no name: write package.module.Name")
    module, rest = _module(name, parts)
    found: object = module
    for number, part in enumerate(rest):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = [each for each in dir(found) if not each.startswith("_")]
            where = ".".join(parts[: len(parts) - len(rest) + number])
            raise ImportFailed(
                f"{where} has no {part}{suggest(part, known)}: check the name's spelling"
            ) from None
    return found


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
    try:
        return import_module(path)
    except (Exception, SystemExit) as e:
        raise ImportFailed(
            f"{path} cannot be imported: {describeImportError(e)}: mend it"
        ) from None


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
    return f"{os.path.relpath(file) if _isHere(file) else file}, line {line}: {text}"


def _isHere(file: str) -> bool:
    return os.path.abspath(file).startswith(os.path.join(os.getcwd(), ""))
