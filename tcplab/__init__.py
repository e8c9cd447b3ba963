"""A TCP peer you control: it greets, acknowledges and echoes, and it is made to be subclassed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

__version__ = "0.1.0"


def lazily(package: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """
    Make the ``__getattr__`` of a package whose public names are loaded when they are used.

    :param package: the package's ``__name__``.
    :param names: the public names, and the module of each.
    """

    def load(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(names[name]), name)

    return load
