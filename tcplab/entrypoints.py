"""
Names that installed packages register: of behaviours, faults and observers.

A package registers a class in its ``pyproject.toml``::

    [project.entry-points."tcplab.behaviours"]
    shout = "my_package.protocols:Shout"

Names are found without importing anything of that package.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from tcplab.importing import ImportFailed, describeImportError
from tcplab.wire import names

#: The groups of entry points.
BEHAVIOURS = "tcplab.behaviours"
FAULTS = "tcplab.faults"
OBSERVERS = "tcplab.observers"
_GROUPS = (BEHAVIOURS, FAULTS, OBSERVERS)


@dataclass(frozen=True, slots=True)
class Registered:
    """
    A name that an installed package has registered.

    :ivar name: what is typed.
    :ivar target: where its class is: ``package.module:Class``.
    :ivar package: the distribution that registers it.
    """

    name: str
    target: str
    package: str

    def load(self) -> object:
        """
        Import the class.

        :raises ImportFailed: that fails; the text is one line.
        """
        from importlib.metadata import EntryPoint

        try:
            return EntryPoint(self.name, self.target, "").load()
        except (Exception, SystemExit) as e:
            raise ImportFailed(
                f"{self.name}, which {self.package} registers as {self.target}, cannot be"
                f" loaded: {describeImportError(e)}: mend it, or uninstall it"
            ) from None


def registered(group: str) -> dict[str, Registered]:
    """
    Return what installed packages register in a group, by name.

    Of two packages that register the same name the first by alphabet has it.
    """
    found: dict[str, Registered] = {}
    for each in _all()[group]:
        found.setdefault(each.name, each)
    return dict(sorted(found.items()))


def clashes() -> list[str]:
    """Describe the registered names that are hidden by others, one line each."""
    lines = []
    found = _all()
    for group, own in ((BEHAVIOURS, names.BEHAVIOURS), (FAULTS, names.FAULTS), (OBSERVERS, {})):
        taken = dict.fromkeys(own, "tcplab")
        for each in found[group]:
            owner = taken.setdefault(each.name, each.package)
            if owner != each.package:
                lines.append(
                    f"{each.package} registers {each.name} in {group}: {owner} has that name"
                    f" already, and its {each.name} is used"
                )
    return lines


def _all() -> dict[str, list[Registered]]:
    """Look through the installed packages once, and return what they register, by group."""
    found: dict[str, set[Registered]] = {group: set() for group in _GROUPS}
    if _anyRegistered():
        from importlib.metadata import distributions

        for distribution in distributions():
            for each in distribution.entry_points:
                if each.group in found:
                    found[each.group].add(Registered(each.name, each.value, distribution.name))
    return {
        group: sorted(each, key=lambda one: (one.package.lower(), one.name, one.target))
        for group, each in found.items()
    }


# A lab starts in the time that importlib.metadata takes to be imported. A look into the few files
# that it would read tells whether it is needed.
def _anyRegistered() -> bool:
    for folder in sys.path:
        if os.path.isfile(folder):  # a zip archive
            return True
        try:
            inside = os.listdir(folder or ".")
        except OSError:
            continue
        for name in inside:
            if name.endswith((".dist-info", ".egg-info")) and _registers(folder, name):
                return True
    return False


def _registers(folder: str, name: str) -> bool:
    try:
        with open(os.path.join(folder, name, "entry_points.txt"), "rb") as file:
            text = file.read()
    except OSError:
        return False
    return any(b"[%s]" % group.encode() in text for group in _GROUPS)
