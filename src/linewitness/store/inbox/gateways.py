"""The enrolled gateways that this process serves, as the database knows them."""

from sqlalchemy import select

from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enrolled, newest_receipt
from linewitness.store.database.statements import statements_for
from linewitness.store.database.tenants import tenants_of
from linewitness.store.inbox.share import EVERYBODY, GatewayShare
from linewitness.store.turn import LedgerAnswer


class ServedGateways:
    """The gateways of one share of all."""

    def __init__(self, database: Database, share: GatewayShare = EVERYBODY) -> None:
        """Take the database, and which gateways are meant."""
        self._database = database
        self.share = share

    def names(self) -> set[tuple[str, str]]:
        """Return tenant and name of every enrolled gateway: nobody else's messages are worth a look."""
        found = set()
        for tenant in tenants_of(self._database):
            with self._database.reading(tenant) as connection:
                found |= {
                    (tenant, each.gateway)
                    for each in enrolled(connection, tenant)
                    if self.share.serves(tenant, each.gateway)
                }
        return found

    def newest(self) -> list[LedgerAnswer]:
        """Return the newest receipt of every gateway's newest stream, for a broker that has lost them.

        A stream with a conflict gets no answer: the receipt alone would hide it.
        """
        answers = []
        for tenant in tenants_of(self._database):
            with self._database.reading(tenant) as connection:
                newest = {each.gateway: each for each in enrolled(connection, tenant)}
                disputed = set(connection.execute(select(tables.conflicts.c.stream_id)).scalars())
                for enrolment in newest.values():
                    if not self.share.serves(tenant, enrolment.gateway):
                        continue
                    _, receipt = newest_receipt(connection, enrolment.stream_id)
                    if receipt and enrolment.stream_id not in disputed:
                        answers.append(LedgerAnswer(enrolment.topics.receipt, receipt.encode()))
        with self._database.writing() as connection:
            statements_for(connection).settle(connection)
        return answers
