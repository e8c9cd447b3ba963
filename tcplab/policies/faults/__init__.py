"""Faults: break the network on purpose, repeatably, for any Twisted server or client."""

from tcplab.policies.faults.faults import Faults
from tcplab.policies.faults.kinds import KINDS
from tcplab.policies.faults.spec import FaultError, FaultSpec, parseFault
from tcplab.policies.faults.standing import Standing

__all__ = ["KINDS", "FaultError", "FaultSpec", "Faults", "Standing", "parseFault"]
