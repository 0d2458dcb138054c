"""The parts of one station, put together."""

from collections.abc import Mapping
from dataclasses import dataclass

from linewitness.base.clock import Stamp
from linewitness.stations.checklist.checklist import Checklist
from linewitness.stations.checklist.sign_offs import SignOffs
from linewitness.stations.context import StationContext
from linewitness.stations.gate.decision import GateDecision
from linewitness.stations.genealogy.components import Components
from linewitness.stations.genealogy.materials import Materials
from linewitness.stations.genealogy.removals import Removals
from linewitness.stations.genealogy.visits import Visits
from linewitness.stations.options import StationOptions
from linewitness.stations.orders import StationOrder
from linewitness.stations.people.sign_on import SignOn
from linewitness.stations.shared_state import SharedState
from linewitness.stations.unit.unit_holder import UnitHolder


@dataclass(frozen=True, slots=True)
class StationParts:
    """What a station is made of."""

    context: StationContext
    order: StationOrder
    checklist: Checklist
    sign_offs: SignOffs
    components: Components
    removals: Removals
    materials: Materials
    visits: Visits
    units: UnitHolder
    sign_on: SignOn
    gate: GateDecision

    @classmethod
    def build(
        cls, options: StationOptions | None, shared: SharedState, state: Mapping[str, str], now: Stamp
    ) -> "StationParts":
        """Build them, each with its own part of the state as last committed."""
        context = StationContext(options, shared)
        order = StationOrder(context, state)
        checklist = Checklist(context)
        components = Components(context, checklist)
        materials = Materials(context, checklist, components, state)
        visits = Visits(context, order)
        checklist.on_done = materials.used
        return cls(
            context=context,
            order=order,
            checklist=checklist,
            sign_offs=SignOffs(context, checklist),
            components=components,
            removals=Removals(context, checklist, components),
            materials=materials,
            visits=visits,
            units=UnitHolder(context, visits, state, now),
            sign_on=SignOn(context, state),
            gate=GateDecision(context, state),
        )
