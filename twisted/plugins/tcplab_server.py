import os

from twisted.application.service import ServiceMaker

tcplab = ServiceMaker(
    "tcplab",
    "tcplab.tap" if os.name == "posix" else "tcplab.windows",
    "A TCP server for learning and testing.",
    "tcplab",
)
