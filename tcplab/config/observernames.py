"""Observers by name: from the word of ``--observer`` to the class that is called."""

from __future__ import annotations

from collections.abc import Callable

from tcplab import entrypoints
from tcplab.config.errors import SettingsError
from tcplab.importing import ImportFailed, describeImportError, importName, requiredArguments
from tcplab.listener.events import Observer
from tcplab.wire.suggestion import suggest

#: What an observer may define.
HOOKS = {name for name in vars(Observer) if not name.startswith("_")}


def observerClass(name: str) -> Callable[[], object]:
    """
    Return the class of an observer.

    :param name: what a package registers, or ``package.module.Name``.
    :raises SettingsError: there is no such class, or it is no observer's.
    """
    registered = entrypoints.registered(entrypoints.OBSERVERS)
    try:
        if name in registered:
            found = registered[name].load()
        elif "." in name:
            found = importName(name)
        else:
            known = f": use {', '.join(registered)}, or" if registered else ": use"
            raise SettingsError(
                f"there is no observer {name}{suggest(name, registered)}{known}"
                " package.module.Name for a class of yours"
            )
    except ImportFailed as e:
        raise SettingsError(str(e)) from None
    if not isinstance(found, type):
        raise SettingsError(f"observer {name} is no class: name the class of the observer")
    if not HOOKS.intersection(dir(found)):
        raise SettingsError(
            f"observer {name} has no hook: define one of {', '.join(sorted(HOOKS))}"
        )
    if needed := requiredArguments(found):
        raise SettingsError(
            f"observer {name} cannot be made without {', '.join(needed)}: give it defaults"
        )
    return found


def makeObserver(name: str) -> object:
    """
    Make an observer.

    :raises SettingsError: it cannot be made; the text has the file and the line.
    """
    found = observerClass(name)
    try:
        return found()
    except Exception as e:
        raise SettingsError(
            f"observer {name} cannot be made: {describeImportError(e)}: mend it"
        ) from None
