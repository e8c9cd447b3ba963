from tcplab.faults.endpointplugin import FaultParser
from tcplab.policies.limitplugin import LimitParser

fault = FaultParser()
limit = LimitParser()
