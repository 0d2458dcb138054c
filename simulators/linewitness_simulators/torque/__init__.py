"""A torque controller that speaks Open Protocol, behaves like a real one, and misbehaves when told to."""

from linewitness_simulators.torque.device import ToolDisabledError
from linewitness_simulators.torque.model import (
    ControllerDescription,
    Inputs,
    ParameterSet,
    ResultType,
    StoredResult,
    Tool,
)
from linewitness_simulators.torque.options import ClientLog, TorqueFaults, TorqueOptions, without
from linewitness_simulators.torque.server import TorqueSimulator, serve

__all__ = [
    "ClientLog",
    "ControllerDescription",
    "Inputs",
    "ParameterSet",
    "ResultType",
    "StoredResult",
    "Tool",
    "ToolDisabledError",
    "TorqueFaults",
    "TorqueOptions",
    "TorqueSimulator",
    "serve",
    "without",
]
