"""What is told of a connection, and the log."""

from tcplab.listener.events import Observer
from tcplab.observers.log import FaultLog, LogObserver
from tcplab.observers.observer import Observers

__all__ = ["FaultLog", "LogObserver", "Observer", "Observers"]
