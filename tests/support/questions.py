"""A plant of two lines to ask questions about."""

from pathlib import Path

from linewitness.store.views.filler import ViewFiller
from support.fake_gateway import FakeGateway
from support.histories import LineHistory
from support.ledger_rig import Store


class Plant:
    """Two lines of one tenant, and a store."""

    def __init__(self, path: Path, store: Store | None = None) -> None:
        self.store = store or Store(path)
        self.database = self.store.database
        self.gateways = [
            FakeGateway(origin=f"acme.example/line-{number}/1", gateway=f"ber-0{number}", seed=f"{number}")
            for number in (1, 2)
        ]
        self.one, self.two = map(LineHistory, self.gateways)
        for gateway in self.gateways:
            self.store.enroll(gateway)

    def hear(self) -> None:
        """Let the store have everything, and the views too."""
        for gateway in self.gateways:
            self.store.send(gateway)
        filler = ViewFiller(self.database)
        while filler.step():
            pass
        assert not filler.damage
