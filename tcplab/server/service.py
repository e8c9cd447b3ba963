"""The lab as a Twisted service: listens, and ends politely."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, FirstError, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.config.behaviours import Behaviour
from tcplab.config.errors import SettingsError
from tcplab.config.settings import Settings
from tcplab.faults import Faults
from tcplab.listener.events import Observer
from tcplab.server.connectionpolicies import ConnectionPolicies
from tcplab.server.connections import Connections
from tcplab.server.drain import Drain, Drained, whenEmpty
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.endpoints import endpointOf

log = Logger()

#: Why a listener that was suspended by hand accepts nobody.
_SUSPENDED = "suspend"


class LabService(Service):
    """
    Serve what the settings say.

    Ports may be bound before the service is started, by `listen`: twistd has written no pid file
    and has not gone to the background then, so that a port in use is the end of it.

    :param settings: what to serve, and where.
    :param reactor: listens, and keeps the time.
    :param observers: who is told of connections; see `tcplab.observers.Observers`.
    :param listening: what the endpoints listen with, if that is not the reactor.
    :param quiet: do not say what is served, and where: another process has.
    :ivar faults: what goes wrong on purpose; more may be added, and removed, at any time.
    :ivar drained: how the last drain ended; ``None`` before the first.
    :raises SettingsError: there is no such behaviour, setting or endpoint.
    """

    drained: Drained | None = None

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        observers: Observer,
        *,
        listening: Any = None,
        quiet: bool = False,
    ) -> None:
        self.settings = settings
        self._quiet = quiet
        self._reactor = reactor
        self._listening: Deferred[None] | None = None
        self._draining: Drain | None = None
        self._policies = ConnectionPolicies(settings, reactor)
        self.faults = Faults(seed=settings.seed, clock=reactor)
        for fault in settings.faults:
            self.faults.add(fault)
        self.listeners = _endpointListeners(settings, listening or reactor, observers)
        for each in self.listeners:
            each.quiet = quiet

    @cached_property
    def connections(self) -> Connections:
        """
        The connections that are open, and the last 1,000 that ended, with how each did.

        Endings are kept from the first time that this is asked for; until then it costs nothing.
        """
        return Connections([each.listener for each in self.listeners])

    # The beginning

    def listen(self) -> Deferred[None]:
        """
        Listen on every endpoint; to ask again is the same as once. After a drain that goes on.

        :return: fires when all listen, at once for TCP, TLS and Unix sockets; or with the first
            `SettingsError`, and then nothing is left listening.
        """
        if self._draining is not None:
            return self.drain().addCallback(lambda _: self.listen())
        if self._listening is None:
            self._listening = self._listen()
        asked: Deferred[None] = Deferred()
        self._listening.addBoth(_tell, asked)
        return asked

    def whenServing(self) -> Deferred[None]:
        """Fire when who connects is served: as soon as it listens."""
        return self.listen()

    def _listen(self) -> Deferred[Any]:
        # A failure is passed on as a value, so that each who asks gets it and none is left over.
        return Deferred.fromCoroutine(self._listenOnAll()).addErrback(self._listenFailed)

    async def _listenOnAll(self) -> None:
        self._policies.attach(each.listener for each in self.listeners)
        for each in self.listeners:
            self.faults.watch(each.listener)
        try:
            await gatherResults([each.listen() for each in self.listeners], consumeErrors=True)
        except FirstError as e:
            e.subFailure.raiseException()
        self._policies.portsBound(each.port for each in self.listeners)
        if not self._quiet:
            self._policies.log()

    def _listenFailed(self, failure: Failure) -> list[Failure]:
        self.faults.stop()
        for each in self.listeners:
            each.stopListening()
        return [failure]

    def privilegedStartService(self) -> None:
        """
        Listen, if nobody has asked for it yet, and own what was bound before twistd forked.

        :raises SettingsError: it cannot.
        """
        super().privilegedStartService()
        self._start()
        for each in self.listeners:
            each.rewriteLock()

    def startService(self) -> None:
        """Begin; also the start for those who do not call ``privilegedStartService``."""
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

    # To pause

    def suspend(self) -> None:
        """
        Accept nobody until `resume`: who connects waits in the backlog; who is connected stays.

        Asked for before the lab listens, it holds from the beginning on.
        """
        for each in self.listeners:
            each.listener.suspend(_SUSPENDED)

    def resume(self) -> None:
        """
        Accept again after `suspend`, those first who have waited.

        What else keeps it from accepting, a limit that is reached say, still does.
        """
        for each in self.listeners:
            each.listener.resume(_SUSPENDED)

    def whenEmpty(self) -> Deferred[None]:
        """Fire as soon as no connection is open on any listener; at once if none is."""
        return Deferred.fromCoroutine(whenEmpty([each.listener for each in self.listeners]))

    # The end

    def drain(self) -> Deferred[Drained]:
        """
        End politely.

        Go on accepting for ``drainDelay`` seconds; then refuse who connects, ask every conversation
        to finish, and abort those that have not ``drainTimeout`` seconds later. `abort` ends it at
        once. To ask again is the same as once. Afterwards nobody listens, until the service is
        started again or told to `listen`; a `suspend` is over then.

        :return: fires when everybody has gone, with the numbers of those who have gone in time and
            of those who were aborted.
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
        return Drain(
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
        End politely: `drain`.

        :return: fires when everybody has gone.
        """
        super().stopService()
        return self.drain().addCallback(lambda _: None)

    def abort(self) -> int:
        """
        End every connection at once, and a drain with them; say how many those were.

        It goes on listening if it was not draining.
        """
        if self._draining is not None:
            return self._draining.abortNow()
        return sum(each.listener.abort() for each in self.listeners)


def _tell(result: list[Failure] | None, asked: Deferred[None]) -> list[Failure] | None:
    if result:
        asked.errback(result[0])
    else:
        asked.callback(None)
    return result


def _logFailures(_: object, failures: list[Failure]) -> None:
    # The service has started already, so that nothing can be raised.
    for failure in failures:
        log.critical("{problem}", problem=str(failure.value), log_system="tcplab")


def _endpointListeners(
    settings: Settings, reactor: Any, observers: Observer
) -> list[EndpointListener]:
    behaviours = [Behaviour(each.spec) for each in settings.listeners]
    if settings.greeting is not None and not any(each.speaksFirst for each in behaviours):
        names = " and ".join(str(each.spec) for each in behaviours)
        raise SettingsError(
            f"--greeting changes nothing here: {names} does not speak first, or has a greeting of"
            " its own; use lab, greeting or ack, or write greeting=TEXT into the SPEC"
        )
    return [
        EndpointListener(
            listener,
            behaviour.factory(**_defaults(settings, behaviour)),
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
