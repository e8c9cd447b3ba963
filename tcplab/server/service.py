"""The lab as a Twisted service: it listens, serves and drains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, FirstError, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.config.behaviours import Behaviour
from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import ListenerSettings
from tcplab.config.observernames import makeObserver
from tcplab.config.options import Settings
from tcplab.faults import Faults
from tcplab.listener.events import Observer
from tcplab.listener.oneshot import OneShot
from tcplab.listener.policy import Policy
from tcplab.observers.observer import Observers
from tcplab.policies.listenqueue import ListenQueueLog
from tcplab.reactor.interfaces import IReactor
from tcplab.server.connectionpolicies import ConnectionPolicies
from tcplab.server.connections import Connections
from tcplab.server.drain import Drain, Drained, ListenersDrain, whenEmpty
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.endpoints import endpointOf
from tcplab.server.inheritedsockets import AdoptingReactor

log = Logger("tcplab.server.service")

_Made = TypeVar("_Made")

#: The reason of a listener for not accepting, after `LabService.suspend`.
_SUSPENDED = "suspend"


class LabService(Service):
    """
    Serve as the settings define.

    `listen` may bind the ports before the service is started. Then twistd has not yet written its
    pid file or gone to the background, and a port in use ends it at once.

    :param settings: what to serve, and where.
    :param reactor: listens, and keeps the time.
    :param observers: receives the events of connections: any object with hooks of an `Observer`;
        see `tcplab.observers.Observers` for several.
    :param listening: what the endpoints listen with, if that is not the reactor.
    :param policies: treat the connections of all listeners, besides those of the settings.
    :param quiet: do not log what is served, and where: another process does.
    :ivar listeners: the endpoints that are served.
    :ivar faults: what goes wrong on purpose; more may be added, and removed, at any time.
    :ivar drained: the outcome of the last drain; ``None`` before the first.
    :cvar restart: replaces the worker processes; ``None``: this process serves alone.
    :raises SettingsError: there is no such behaviour, setting or endpoint.
    """

    drained: Drained | None = None
    restart: Callable[[], None] | None = None

    def __init__(
        self,
        settings: Settings,
        reactor: IReactor,
        observers: object,
        *,
        listening: IReactor | AdoptingReactor | None = None,
        policies: Sequence[Policy] = (),
        quiet: bool = False,
    ) -> None:
        self.settings = settings
        self._quiet = quiet
        self._reactor = reactor
        self._listening: OneShot[None] | None = None
        self._draining: Drain | None = None
        # Of several processes one logs what the kernel counts for all.
        own = policies if quiet else (*policies, ListenQueueLog(reactor))
        self._policies = ConnectionPolicies(settings, reactor, own)
        self.faults = Faults(seed=settings.seed, clock=reactor)
        for fault in settings.faults:
            self.faults.add(fault)
        # A listener calls every hook; any object may be an observer, and its hooks are optional.
        group = observers if isinstance(observers, Observer) else Observers(observers)
        if settings.observerNames:
            group = Observers(group, *map(makeObserver, settings.observerNames))
        self.listeners = _endpointListeners(settings, listening or reactor, group)
        for each in self.listeners:
            each.quiet = quiet
            each.adopts = listening is not None

    @cached_property
    def connections(self) -> Connections:
        """
        The connections that are open, and the last 1,000 that ended, with their endings.

        Endings are kept from the first use of this property on; until then it costs nothing.
        """
        return Connections(self.listeners)

    # Start

    def listen(self) -> Deferred[None]:
        """
        Listen on every endpoint; further calls change nothing. A drain that runs is awaited first.

        :return: fires when all listen, at once for TCP, TLS and Unix sockets; or with the first
            `SettingsError`, and then nothing is left listening.
        """
        if self._draining is not None:
            return self.drain().addCallback(lambda _: self.listen())
        if self._listening is None:
            self._listening = OneShot()
            listening = Deferred.fromCoroutine(self._listenOnAll()).addErrback(self._listenFailed)
            listening.addBoth(self._listening.fire)
        return self._listening.wait()

    def whenServing(self) -> Deferred[None]:
        """Fire when new connections are served: as soon as the lab listens."""
        return self.listen()

    async def _listenOnAll(self) -> None:
        self._policies.attach(self.listeners)
        for each in self.listeners:
            self.faults.watch(each)
        try:
            await gatherResults([each.listen() for each in self.listeners], consumeErrors=True)
        except FirstError as e:
            e.subFailure.raiseException()
        self._policies.portsBound(each.port for each in self.listeners)
        if not self._quiet:
            self._policies.log()

    def _listenFailed(self, failure: Failure) -> Failure:
        self.faults.stop()
        for each in self.listeners:
            each.stopListening()
        return failure

    def privilegedStartService(self) -> None:
        """
        Listen, if `listen` has not been called, and own what was bound before twistd forked.

        :raises SettingsError: an endpoint cannot listen.
        """
        super().privilegedStartService()
        self._start()
        for each in self.listeners:
            each.rewriteLock()

    def startService(self) -> None:
        """
        Listen, if nothing has done so yet.

        :raises SettingsError: an endpoint cannot listen.
        """
        super().startService()
        self._start()

    def _start(self) -> None:
        if self._listening is not None and self._draining is None:
            return
        failures: list[Failure] = []
        starting = self.listen().addErrback(failures.append)
        if failures:
            failures[0].raiseException()
        starting.addCallback(_logFailures, failures)

    # Pause

    def suspend(self) -> None:
        """
        Stop accepting until `resume`: new clients wait in the listen queue, connections go on.

        Called before the lab listens, it holds from the start on.
        """
        for each in self.listeners:
            each.suspend(_SUSPENDED)

    def resume(self) -> None:
        """
        Accept again after `suspend`, first the clients in the listen queue.

        Other reasons for not accepting stay, such as a limit that is reached.
        """
        for each in self.listeners:
            each.resume(_SUSPENDED)

    def whenEmpty(self) -> Deferred[None]:
        """Fire as soon as no connection is open on any listener, at once if all are closed."""
        return Deferred.fromCoroutine(whenEmpty(self.listeners))

    # End

    def drain(self) -> Deferred[Drained]:
        """
        Drain: stop accepting, and let connections end.

        Accepting goes on for ``drainDelay`` seconds. Then new connections are refused and every
        conversation begins to end. Those that have not ended ``drainTimeout`` seconds later
        are aborted; `abort` does so at once. Further calls change nothing. Afterwards the lab does
        not listen until it is started, or `listen` is called, again; a `suspend` is over then.

        :return: fires when every connection has ended, with the outcome.
        """
        draining = self._draining
        if draining is None:
            if self._listening is None:
                return succeed(self.drained or Drained(0, 0))
            draining = self._draining = self._newDrain()
            draining.run().addCallback(self._drainEnded)
        return draining.run()

    def _newDrain(self) -> Drain:
        settings = self.settings
        return ListenersDrain(
            self.listeners,
            self._reactor,
            delay=settings.drainDelay,
            timeout=settings.drainTimeout,
            beforeDrain=self.faults.removeEndless,
        )

    def _drainEnded(self, drained: Drained) -> None:
        self.drained = drained
        self._listening = self._draining = None
        self._policies.detach()
        self.faults.stop()
        self.resume()

    def stopService(self) -> Deferred[None]:
        """
        Stop: `drain`.

        :return: fires when every connection has ended.
        """
        super().stopService()
        return self.drain().addCallback(lambda _: None)

    def abort(self) -> int:
        """
        Abort every connection, and end a drain with them; return how many those were.

        The lab goes on listening if it was not draining.
        """
        if self._draining is not None:
            return self._draining.abortNow()
        return sum(each.abort() for each in self.listeners)


def _logFailures(_: object, failures: list[Failure]) -> None:
    # The service has started already, so that nothing can be raised.
    for failure in failures:
        log.critical("{problem}", problem=str(failure.value), log_system="tcplab")


def _endpointListeners(
    settings: Settings, reactor: IReactor | AdoptingReactor, observers: Observer
) -> list[EndpointListener]:
    def placed(listener: ListenerSettings, make: Callable[[], _Made]) -> _Made:
        # A mistake in a SPEC is found where its listener was written.
        try:
            return make()
        except SettingsError as e:
            where = listener.option
            if listener.portOption:
                where = f"{settings.names['behaviour']} {listener.spec}"
            problem = str(e).removeprefix(f"{listener.spec}: ")
            raise SettingsError(f"{where}: {problem}" if where else str(e)) from None

    behaviours = [placed(each, partial(Behaviour, each.spec)) for each in settings.listeners]
    if settings.greeting is not None and not any(each.speaksFirst for each in behaviours):
        names = " and ".join(str(each.spec) for each in behaviours)
        raise SettingsError(
            f"{settings.names['greeting']} changes nothing here: {names} does not speak first,"
            " or has a greeting of its own; use lab, greeting or ack, or write greeting=TEXT into"
            " the SPEC"
        )
    return [
        EndpointListener(
            listener,
            placed(listener, partial(behaviour.factory, **_defaults(settings, behaviour))),
            endpointOf(reactor, listener),
            observers,
        )
        for listener, behaviour in zip(settings.listeners, behaviours, strict=True)
    ]


def _defaults(settings: Settings, behaviour: Behaviour) -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    if settings.lingerTimeout is not None:
        defaults["lingerTimeout"] = settings.lingerTimeout
    if settings.greeting is not None and behaviour.speaksFirst:
        defaults["greeting"] = settings.greeting
    return defaults
