"""A lab that also prints how long each connection lasted: ``twistd --reactor eager -ny lab.tac``."""

from twisted.application.service import Application

from tcplab import Lab, Observer
from tcplab.observers import LogObserver


class Durations(Observer):
    def connectionClosed(self, connection, ending):
        print(f"{connection.listener} {connection.number} lasted {ending.seconds:.3f} s")


application = Application("lab")
Lab("echo", port=50544, observers=[LogObserver(), Durations()]).setServiceParent(application)
