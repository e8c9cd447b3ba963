from twisted.application.service import ServiceMaker

tcplab = ServiceMaker("tcplab", "tcplab.tap", "A TCP server for learning and testing.", "tcplab")
