"""What is reported of connections, and the log."""

from tcplab.listener.events import Connection, Ending, Observer
from tcplab.observers.lineformat import jsonLogObserver
from tcplab.observers.log import FaultLog, LogObserver
from tcplab.observers.observer import Observers
from tcplab.wire.reasons import Reason

__all__ = [
    "Connection",
    "Ending",
    "FaultLog",
    "LogObserver",
    "Observer",
    "Observers",
    "Reason",
    "jsonLogObserver",
]
