from tcplab.policies.faultendpoint import FaultParser
from tcplab.policies.limitendpoint import LimitParser

fault = FaultParser()
limit = LimitParser()
