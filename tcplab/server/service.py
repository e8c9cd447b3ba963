"""The lab as a Twisted service: listens, and ends politely."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.reactor.connection import Watcher
from tcplab.server.behaviours import Behaviour
from tcplab.server.endpoints import endpointOf
from tcplab.server.serving import Serving
from tcplab.server.settings import Settings, SettingsError

log = Logger()

#: Seconds for aborted connections to be gone: the next turn of the reactor is enough, unless a
#: user's connectionLost takes its time.
_GONE = 1.0


class LabService(Service):
    """
    Serve what the settings say.

    Ports may be bound before the service is started, by `listen`: twistd has written no pid file
    and has not gone to the background then, so that a port in use is the end of it.

    :param settings: what to serve, and where.
    :param reactor: listens, and keeps the time.
    :param observers: who is told of connections; see `tcplab.observers.Observers`.
    :raises SettingsError: there is no such behaviour, setting or endpoint.
    """

    def __init__(self, settings: Settings, reactor: Any, observers: Watcher) -> None:
        self.settings = settings
        self._reactor = reactor
        self._listening: Deferred[None] | None = None
        self.servings = _servings(settings, reactor, observers)

    # The beginning

    def listen(self) -> Deferred[None]:
        """
        Listen on every endpoint; to ask again is the same as once.

        :return: fires when all listen, at once for TCP, TLS and Unix sockets; or with the first
            `SettingsError`, and then nothing is left listening.
        """
        if self._listening is None:
            self._listening = self._listen()
        asked: Deferred[None] = Deferred()
        self._listening.addBoth(_tell, asked)
        return asked

    def _listen(self) -> Deferred[Any]:
        every = DeferredList(
            [serving.listen() for serving in self.servings],
            fireOnOneErrback=True,
            consumeErrors=True,
        )
        # A failure is passed on as a value, so that each who asks gets it and none is left over.
        return every.addCallbacks(lambda _: None, self._notAll)

    def _notAll(self, failure: Failure) -> list[Failure]:
        for serving in self.servings:
            serving.stopListening()
        first: Any = failure.value
        return [first.subFailure]

    def privilegedStartService(self) -> None:
        """
        Listen, if nobody has asked for it yet, and own what was bound before twistd forked.

        :raises SettingsError: it cannot.
        """
        super().privilegedStartService()
        self._start()
        for serving in self.servings:
            serving.takeOver()

    def startService(self) -> None:
        """Begin; also the start for those who do not call ``privilegedStartService``."""
        super().startService()
        self._start()

    def _start(self) -> None:
        if self._listening is not None:
            return
        failures: list[Failure] = []
        starting = self.listen().addErrback(failures.append)
        if failures:
            failures[0].raiseException()
        starting.addCallback(_later, failures)

    # The end

    @property
    def patience(self) -> float:
        """
        Seconds for a polite end: a stream waits one linger for silence, and its end lingers too.

        One second more is for what the machine itself needs.
        """
        return 2 * max(serving.lingerTimeout for serving in self.servings) + 1

    def stopService(self) -> Deferred[None]:
        """
        Accept nobody any more, hang up politely, and abort who has not gone in time.

        :return: fires when everybody has gone.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await DeferredList([each.stopListening() for each in self.servings], consumeErrors=True)
        self._listening = None
        for serving in self.servings:
            serving.listener.drain()
        if await self._allGone(self.patience):
            return
        log.warn(
            "{count} connections had not ended after {seconds:g} s and were aborted",
            log_system="tcplab",
            count=self.abort(),
            seconds=self.patience,
        )
        await self._allGone(_GONE)

    def abort(self) -> int:
        """End every connection at once, and say how many those were."""
        return sum(serving.listener.abort() for serving in self.servings)

    async def _allGone(self, seconds: float) -> bool:
        waiting = [each.listener.whenEmpty() for each in self.servings]
        # A deadline only ends the waiting: it makes no error of the list.
        await DeferredList(waiting, consumeErrors=True).addTimeout(seconds, self._reactor)
        return not any(serving.listener.connections for serving in self.servings)


def _tell(result: list[Failure] | None, asked: Deferred[None]) -> list[Failure] | None:
    if result:
        asked.errback(result[0])
    else:
        asked.callback(None)
    return result


def _later(_: object, failures: list[Failure]) -> None:
    # The service has started already, so that nothing can be raised.
    for failure in failures:
        log.critical("{problem}", problem=str(failure.value), log_system="tcplab")


def _servings(settings: Settings, reactor: Any, observers: Watcher) -> list[Serving]:
    behaviours = [Behaviour(each.spec) for each in settings.listeners]
    if settings.greeting is not None and not any(each.speaksFirst for each in behaviours):
        names = " and ".join(str(each.spec) for each in behaviours)
        raise SettingsError(
            f"--greeting changes nothing here: {names} does not speak first, or has a greeting of"
            " its own; use lab, greeting or ack, or write greeting=TEXT into the SPEC"
        )
    return [
        Serving(
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
