from twisted.application.service import ServiceMaker

tcplab = ServiceMaker("tcplab", "tcplab.tap", "A TCP peer you control.", "tcplab")
