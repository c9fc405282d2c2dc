"""A register of customers over a log's file, written as the log's writer does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from recsys.customers import CustomerChange, Identifier
from recsys.events import Position
from serving.log import customers
from serving.log.customer_reads import CustomerReader
from serving.log.customer_register import CustomerProfile, CustomersChanged, RegisteredCustomer
from serving.log.database import connect, last_position, take_positions


def changed(
    log_file: Path, changes: Sequence[CustomerChange], *, received: int = 0
) -> CustomersChanged:
    """Make changes in one commit."""
    connection = connect(log_file)
    connection.execute("BEGIN IMMEDIATE")
    before = Position(last_position(connection))
    done = customers.apply(connection, changes, before=before, received=received)
    if done.last_position > before:
        take_positions(connection, done.last_position)
    connection.execute("COMMIT")
    connection.close()
    return done


class FileRegister:
    """A `CustomerRegister` over a log's file, one commit a call."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._reader = CustomerReader(log_file)

    def close(self) -> None:
        self._reader.close()

    async def change_customers(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        return changed(self._log_file, changes)

    async def profiles_of(self, identifiers: Sequence[Identifier]) -> Sequence[CustomerProfile]:
        return self._reader.profiles_of(identifiers)

    async def customer_of(self, identifier: Identifier) -> RegisteredCustomer:
        return self._reader.customer_of(identifier)

    async def item_names(self, rows: Sequence[int]) -> Mapping[int, tuple[str, str]]:
        return self._reader.item_names(rows)
