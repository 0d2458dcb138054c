"""A torque controller that speaks Open Protocol, behaves like a real one, and misbehaves when told to."""

from linewitness_simulators.torque.device import (
    Inputs,
    ParameterSet,
    Result,
    ResultType,
    Station,
    Tool,
    ToolDisabledError,
)
from linewitness_simulators.torque.options import Faults, Ledger, TorqueOptions, without
from linewitness_simulators.torque.server import TorqueSimulator, serve

__all__ = [
    "Faults",
    "Inputs",
    "Ledger",
    "ParameterSet",
    "Result",
    "ResultType",
    "Station",
    "Tool",
    "ToolDisabledError",
    "TorqueOptions",
    "TorqueSimulator",
    "serve",
    "without",
]
