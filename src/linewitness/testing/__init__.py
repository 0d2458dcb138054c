"""For people who write drivers: a contract suite, a memory, and a proxy that injects faults.

Nothing here needs pytest, and nothing in production imports it.
"""

from linewitness.testing.contract import ContractBroken, DeviceUnderTest, DriverContract
from linewitness.testing.memory import CommittedMemory
from linewitness.testing.proxy import Proxy, proxy

__all__ = ["CommittedMemory", "ContractBroken", "DeviceUnderTest", "DriverContract", "Proxy", "proxy"]
