"""What is told of a connection, and the log."""

from tcplab.observers.log import FaultLog, LogObserver
from tcplab.observers.observers import Observer, Observers

__all__ = ["FaultLog", "LogObserver", "Observer", "Observers"]
