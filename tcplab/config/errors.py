"""The error of settings that make no sense."""

from __future__ import annotations


class SettingsError(ValueError):
    """
    The lab cannot be made or started as it is configured.

    The text is one line with the remedy. A mistake in a single option, a SPEC or a fault is a
    ``ValueError`` of its package first. The settings raise it as this error.
    """
