"""One customer as a person reads it, in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recsys.customers import ConsentStatement
from serving.api.customer_client_codec import CustomerItem, CustomerMail, HeldConsent, KnownCustomer
from serving.terminal import printable

_NO_TITLE = "(no title)"
_BY_DEFAULT = "by default: nothing was said"


def page_of(customer: KnownCustomer) -> RenderableType:
    """Return all that is known of a customer, ready to be printed."""
    return Group(*_spaced(_parts(customer)))


def _parts(customer: KnownCustomer) -> Iterator[RenderableType]:
    yield Group(*map(_text, _facts(customer)))
    yield _consents(customer.consents)
    if customer.statements:
        yield _history(customer.statements)
    for title, items in (
        ("Bought", customer.purchases),
        ("Looked at", customer.views),
        ("Left in the cart", customer.cart),
        ("Shown", customer.shown),
    ):
        if items:
            yield _items(title, items)
    if customer.mails:
        yield _mails(customer.mails)


def _facts(customer: KnownCustomer) -> Iterator[str]:
    for one in customer.identifiers:
        yield f"{one.kind.value:<8} {one.value}"
    for name, value in customer.attributes.items():
        yield f"{name} = {value}"
    if customer.first_seen and customer.last_seen:
        yield f"seen from {_when(customer.first_seen)} to {_when(customer.last_seen)} (UTC)"
    elif not customer.degraded:
        yield "never seen, as far as is remembered"
    if customer.degraded:
        yield "degraded: what the customer did cannot all be told just now"


def _consents(held: Iterable[HeldConsent]) -> Table:
    table = _table("Purpose", "Allowed", "Since", "Basis")
    for one in held:
        said = one.statement
        basis = _BY_DEFAULT if said is None else said.basis
        since = "" if said is None else _when(said.time)
        _row(table, one.purpose.value, "yes" if one.granted else "no", since, basis)
    return table


def _history(statements: Iterable[ConsentStatement]) -> Table:
    table = _table("All that was said", "Purpose", "Answer", "Basis")
    for one in statements:
        answer = "granted" if one.granted else "refused"
        _row(table, _when(one.time), one.purpose.value, answer, one.basis)
    return table


def _items(title: str, items: Iterable[CustomerItem]) -> Table:
    table = _table(title, "Item", "Id", "Pieces")
    for one in items:
        _row(table, _when(one.time), one.title or _NO_TITLE, one.item_id, f"{one.quantity:,}")
    return table


def _mails(mails: Iterable[CustomerMail]) -> Table:
    table = _table("E-mails", "Step", "Item", "Id")
    for one in mails:
        step = one.step.value.removeprefix("email_")
        _row(table, _when(one.item.time), step, one.item.title, one.item.item_id)
    return table


def _table(*titles: str) -> Table:
    return Table(*titles, box=None, pad_edge=False)


def _row(table: Table, *cells: str) -> None:
    table.add_row(*map(_text, cells))


def _text(text: str) -> Text:
    return Text(printable(text))


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _spaced(parts: Iterable[RenderableType]) -> Sequence[RenderableType]:
    """Return the parts with an empty line between two."""
    spaced = [one for part in parts for one in (Text(""), part)]
    return spaced[1:]
