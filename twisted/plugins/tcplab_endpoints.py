import os

if os.name == "posix":
    from tcplab.faults.faultplugin import FaultParser
    from tcplab.policies.limitplugin import LimitParser

    fault = FaultParser()
    limit = LimitParser()
