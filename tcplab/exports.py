"""Public names of a package that load when they are used, and deprecated ones that warn."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def lazily(
    package: str, names: Mapping[str, str], deprecated: Mapping[str, tuple[str, str]] | None = None
) -> Callable[[str], object]:
    """
    Make the ``__getattr__`` of a package whose public names load when they are used.

    :param package: the package's ``__name__``.
    :param names: the public names, and the module of each.
    :param deprecated: names that go with a later release: each with the version that deprecated it
        and the name that replaces it. Their use is a ``DeprecationWarning``.
    """

    def load(name: str) -> object:
        if deprecated is not None and name in deprecated:
            from warnings import warn

            version, replacement = deprecated[name]
            warn(
                f"{package}.{name} is deprecated since tcplab {version}:"
                f" use {package}.{replacement}",
                DeprecationWarning,
                stacklevel=2,
            )
            name = replacement
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(names[name]), name)

    return load
