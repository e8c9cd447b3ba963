"""The error of settings that make no sense."""

from __future__ import annotations


class SettingsError(ValueError):
    """
    The lab cannot be made or started as it is configured.

    The text is one line that says what to do. A mistake in a single option, a SPEC or a fault is
    found as a ``ValueError`` of its package; the settings raise it as this error.
    """
