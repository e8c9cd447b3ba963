"""How pytest runs these tests; trial, which they are written for, does not read this."""

from __future__ import annotations

import unittest

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Run trial's test cases first.

    They spin the reactor themselves. That fails once pytest-twisted has started it in its greenlet,
    as it does for the first plain test function, even one that waits for nothing.
    """
    items.sort(
        key=lambda item: not issubclass(getattr(item, "cls", None) or object, unittest.TestCase)
    )
