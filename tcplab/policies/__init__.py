"""How connections of any protocol are treated: limits, deadlines, the PROXY header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcplab.exports import lazily

if TYPE_CHECKING:
    from tcplab.listener.policy import Policy
    from tcplab.policies.admission import Admission
    from tcplab.policies.deadlines import Deadlines
    from tcplab.policies.descriptors import DescriptorsError
    from tcplab.policies.limitendpoint import LimitedEndpoint, LimitedError
    from tcplab.policies.limitplugin import LimitError
    from tcplab.policies.memory import HeapTrim, MemoryPressure
    from tcplab.policies.proxyprotocol import ProxyProtocol

__all__ = [
    "Admission",
    "Deadlines",
    "DescriptorsError",
    "HeapTrim",
    "LimitError",
    "LimitedEndpoint",
    "LimitedError",
    "MemoryPressure",
    "Policy",
    "ProxyProtocol",
]

_MODULES = {
    "tcplab.listener.policy": "Policy",
    "tcplab.policies.admission": "Admission",
    "tcplab.policies.deadlines": "Deadlines",
    "tcplab.policies.descriptors": "DescriptorsError",
    "tcplab.policies.limitendpoint": "LimitedEndpoint LimitedError",
    "tcplab.policies.limitplugin": "LimitError",
    "tcplab.policies.memory": "HeapTrim MemoryPressure",
    "tcplab.policies.proxyprotocol": "ProxyProtocol",
}

__getattr__ = lazily(
    __name__, {name: module for module, names in _MODULES.items() for name in names.split()}
)


def __dir__() -> list[str]:
    return __all__
