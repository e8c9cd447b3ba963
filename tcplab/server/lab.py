"""A lab in a program: any behaviours, on any reactor, started and stopped by the program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed

from tcplab.config.behaviours import Behaviour
from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import ListenerSettings
from tcplab.config.observernames import HOOKS, observerClass
from tcplab.config.options import Settings
from tcplab.faults.faults import Faults
from tcplab.faults.spec import FaultSpec
from tcplab.listener.events import Observer
from tcplab.listener.policy import Policy
from tcplab.observers.observer import Observers
from tcplab.server.connections import Connections
from tcplab.server.drain import Drained
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.service import LabService


class Lab(Service):
    """
    Serve behaviours in a program::

        lab = Lab(Shout, port=0)
        await lab.start()
        ...
        await lab.stop()

    ``async with Lab(Shout, port=0) as lab:`` does the same. A lab is a Twisted service, too:
    ``lab.setServiceParent(application)``. Nothing is bound before it starts. After `stop` it may
    start again.

    :param what: what the port serves: a Protocol class, a Factory, a coroutine function (its
        argument is a `tcplab.Dialogue`), or a SPEC as text: ``"echo"``, ``"ack,greeting=hi"``,
        ``"package.module.Name"``. ``None``: the behaviour ``lab``.
    :param port: the TCP port of ``what``, 50544 if ``None``; 0: the system chooses.
    :param listeners: further ones: ``"SPEC@ENDPOINT"``, or `tcplab.ListenerSettings`. Without
        ``port`` they are all there is.
    :param faults: faults from the beginning on, as texts or as values.
    :param seed: repeats the random numbers of faults; ``None``: one is chosen.
    :param observers: each receives the events of connections; `tcplab.observers.LogObserver`
        writes the log. A text is a name, as for ``--observer``.
    :param policies: treat the connections of all listeners, besides those of the settings.
    :param reactor: runs the lab; ``None``: the process's, looked up when the lab starts.
    :param settings: the other options of ``twistd tcplab --help`` by their names in camelCase, as
        values: ``interface="::1"``, ``idleTimeout=60.0``, ``greeting=b"hi"``.
    :raises SettingsError: a value makes no sense, or two contradict each other.
    :raises TypeError: there is no such setting.
    """

    def __init__(
        self,
        what: object = None,
        *,
        port: int | None = None,
        listeners: Sequence[str | ListenerSettings] = (),
        faults: Sequence[str | FaultSpec] = (),
        seed: int | None = None,
        observers: Iterable[Observer | str] = (),
        policies: Iterable[Policy] = (),
        reactor: Any = None,
        **settings: Any,
    ) -> None:
        for name in ("workers", "portFile"):
            if settings.get(name) is not None:
                raise SettingsError(f"{name}: a Lab is one process: use twistd tcplab for that")
        for name in ("logFile", "logFormat"):
            if settings.get(name) is not None:
                raise SettingsError(
                    f"{name}: the log of a Lab is an observer: give observers=[LogObserver()]"
                )
        what = settings.pop("behaviour", None) if what is None else what  # as the option
        own, named = _observersOf(observers)
        self.settings = Settings.of(
            what,
            port=port,
            listeners=listeners,
            faults=faults,
            seed=seed,
            observerNames=named,
            **settings,
        )
        for each in self.settings.listeners:
            Behaviour(each.spec)
        for name in named:
            observerClass(name)
        self._observers = Observers(*own)
        self._policies = _checkedPolicies(policies)
        self._reactor = reactor
        self._service: LabService | None = None

    # To start and to stop

    def start(self) -> Deferred[Lab]:
        """
        Listen; further calls change nothing.

        :return: fires with the lab when all its listeners listen; fails with a `SettingsError`, and
            then none does.
        """
        return self._made().listen().addCallback(lambda _: self)

    def stop(self) -> Deferred[Drained]:
        """
        Drain, as on SIGTERM: refuse new connections, let the others finish, abort the rest.

        :return: fires when all connections are closed, with the numbers of those that finished and
            of those that were aborted.
        """
        return succeed(Drained(0, 0)) if self._service is None else self._service.drain()

    def abort(self) -> int:
        """Reset every connection at once, end a drain with them, and return how many there were."""
        return self._started.abort()

    async def __aenter__(self) -> Lab:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.stop()

    def privilegedStartService(self) -> None:
        """
        Listen before the process gives up its rights.

        :raises SettingsError: a listener cannot listen.
        """
        super().privilegedStartService()
        self._made().privilegedStartService()

    def startService(self) -> None:
        """
        Listen.

        :raises SettingsError: a listener cannot listen.
        """
        super().startService()
        self._made().startService()

    def stopService(self) -> Deferred[None]:
        """
        Drain.

        :return: fires when all connections are closed.
        """
        super().stopService()
        return succeed(None) if self._service is None else self._service.stopService()

    # What it has, once it is started

    @property
    def port(self) -> int:
        """
        The TCP port of the first listener.

        :raises AttributeError: it listens on a Unix socket.
        :raises RuntimeError: the lab does not listen.
        """
        listener = self.listeners[0]
        if listener.port is None:
            raise RuntimeError("the lab has stopped: await lab.start() first")
        if not isinstance(listener.host, (IPv4Address, IPv6Address)):
            raise AttributeError(f"{listener.name} has no TCP port: see lab.listeners[0].host")
        return listener.host.port

    @property
    def listeners(self) -> list[EndpointListener]:
        """
        The listeners, each with its ``name`` and its address, ``host``.

        :raises RuntimeError: the lab is not started.
        """
        return self._started.listeners

    @property
    def faults(self) -> Faults:
        """
        The faults: more can be added, and removed, while it runs.

        :raises RuntimeError: the lab is not started.
        """
        return self._started.faults

    @property
    def connections(self) -> Connections:
        """
        The open connections, and how the last 1,000 ended.

        Endings are kept from the first use on.

        :raises RuntimeError: the lab is not started.
        """
        return self._started.connections

    def suspend(self) -> None:
        """Accept no connection until `resume`: clients wait in the listen queue."""
        self._started.suspend()

    def resume(self) -> None:
        """Accept again, first the clients that have waited."""
        self._started.resume()

    def whenEmpty(self) -> Deferred[None]:
        """Fire as soon as no connection is open on any listener; at once if none is."""
        return self._started.whenEmpty()

    @property
    def _started(self) -> LabService:
        if self._service is None:
            raise RuntimeError("the lab is not started: await lab.start() first")
        return self._service

    def _made(self) -> LabService:
        if self._service is None:
            reactor = self._reactor
            if reactor is None:
                from twisted.internet import reactor
            self._service = LabService(
                self.settings, reactor, self._observers, policies=self._policies
            )
        return self._service


def _observersOf(observers: Iterable[Observer | str]) -> tuple[list[Observer], list[str]]:
    if isinstance(observers, Observer | str) or not isinstance(observers, Iterable):
        raise SettingsError(
            f"observers {observers!r}: give a list, as in observers=[LogObserver()]"
        )
    found = list(observers)
    for each in found:
        if isinstance(each, type):
            raise SettingsError(f"observers {each.__name__}: give an object, {each.__name__}()")
        if not isinstance(each, str) and not HOOKS.intersection(dir(each)):
            raise SettingsError(f"observers {each!r}: give an object with a hook of Observer")
    named = [each for each in found if isinstance(each, str)]
    return [each for each in found if not isinstance(each, str)], named


def _checkedPolicies(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    if isinstance(policies, Policy) or not isinstance(policies, Iterable):
        raise SettingsError(f"policies {policies!r}: give a list, as in policies=[Limits()]")
    for each in (found := tuple(policies)):
        if not isinstance(each, Policy):
            shown = f"{each.__name__}()" if isinstance(each, type) else "an object of a Policy"
            raise SettingsError(f"policies {each!r}: give {shown}")
    return found
