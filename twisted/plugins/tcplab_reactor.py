from twisted.application.reactors import Reactor

eager = Reactor("eager", "tcplab.reactor.eager", "An epoll reactor that writes at once (tcplab).")
