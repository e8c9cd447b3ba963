from tcplab.policies.limitendpoint import LimitParser

limit = LimitParser()
