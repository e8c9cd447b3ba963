"""The service that is asked for: in one process or several, on ports of its own or handed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tcplab.reactor.connection import Watcher
from tcplab.server.inherited import Inherited, handedOver
from tcplab.server.service import LabService
from tcplab.server.settings import Settings, SettingsError


def makeLab(
    settings: Settings, words: Mapping[str, Any], reactor: Any, observers: Watcher
) -> LabService:
    """
    Make it; nothing is bound yet.

    :param words: what the settings were made of.
    :raises SettingsError: it cannot be made.
    """
    listening = _adopting(settings, reactor)
    if settings.workers is None:
        return LabService(settings, reactor, observers, listening=listening)
    from tcplab.server.supervisor import Supervisor

    return Supervisor(settings, reactor, observers, words=words, listening=listening)


def _adopting(settings: Settings, reactor: Any) -> Any:
    # Sockets that listen already, in the order of the listeners; endpoints systemd: choose theirs.
    descriptors = handedOver()
    if not descriptors or any("systemd:" in each.endpoint for each in settings.listeners):
        return None
    if len(descriptors) != len(settings.listeners):
        raise SettingsError(
            f"LISTEN_FDS={len(descriptors)}, and there are {len(settings.listeners)} listeners:"
            " hand over a socket for each, in their order"
        )
    from tcplab.server.adopting import AdoptingReactor

    return AdoptingReactor(reactor, Inherited(descriptors))
