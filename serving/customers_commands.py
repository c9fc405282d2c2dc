"""`recsys customers`: look at one, link, describe, and record what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import track

from recsys.customers import ConsentChange, ConsentStatement, Identifier, IdKind, Purpose
from recsys.errors import InvalidInput, RecsysError
from serving.clock import utc_now
from serving.id_files import read_ids
from serving.reach import reached
from serving.settings import read_settings
from serving.terminal import printable, printable_json

if TYPE_CHECKING:
    from serving.api.customer_client_codec import CustomersResult

Id = Annotated[str, typer.Argument(metavar="ID", help="The shop's id of the customer.")]
Kind = Annotated[
    IdKind,
    typer.Option("--kind", help="What the id names. An e-mail address may stand for its hash."),
]
End = Annotated[
    str,
    typer.Argument(metavar="KIND:VALUE", help=f"An identifier; KIND is {', '.join(IdKind)}."),
]
Address = Annotated[
    str | None, typer.Option("--address", help="host:port of a server; default: the settings'.")
]

STATEMENTS_A_CALL = 1_000
_MOST_SAID = 20


class Answer(StrEnum):
    """What a customer says about a purpose."""

    GRANTED = "granted"
    REFUSED = "refused"


def add_commands(app: typer.Typer) -> None:
    """Add these commands to those that `recsys customers` has."""
    for command in (get, link, unlink, attributes, consent):
        app.command()(command)


def get(
    customer_id: Id,
    kind: Kind = IdKind.USER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    address: Address = None,
) -> None:
    """Show all that a running server knows of one customer, under all ids that are linked.

    Example: recsys customers get 42
    """
    from serving.customers_shown import page_of  # not at the top: gRPC takes long to load

    with reached(_address(address)) as client:
        customer = client.get_customer(_identified(kind, customer_id))
    if as_json:
        typer.echo(printable_json(orjson.dumps(customer).decode()))
        return
    Console(highlight=False, soft_wrap=True).print(page_of(customer))


def link(one: End, other: End, address: Address = None) -> None:
    """Say that two identifiers are one person's, such as a visitor's who has signed in.

    Example: recsys customers link user:42 visitor:7f3a
    """
    ends = _parsed(one), _parsed(other)
    with reached(_address(address)) as client:
        done = client.link_identifiers([ends])
    _say(done, changed="linked", unchanged="linked already")


def unlink(one: End, other: End, address: Address = None) -> None:
    """Take one link back, such as that with a device that many people share.

    Example: recsys customers unlink user:42 device:till-3

    What happened under either identifier stays there. Other links may still hold both together:
    `recsys customers get` shows that.
    """
    ends = _parsed(one), _parsed(other)
    with reached(_address(address)) as client:
        done = client.unlink_identifiers([ends])
    _say(done, changed="unlinked", unchanged="no such link")


def attributes(
    customer_id: Id,
    given: Annotated[
        list[str],
        typer.Argument(metavar="NAME=VALUE...", help="Properties; NAME= takes one away."),
    ],
    kind: Kind = IdKind.USER,
    address: Address = None,
) -> None:
    """Set properties of one customer in the shop's own words; those not named stay.

    Example: recsys customers attributes 42 tier=gold newsletter_day=
    """
    properties = dict(map(_property, given))
    with reached(_address(address)) as client:
        done = client.set_attributes(_identified(kind, customer_id), properties)
    _say(done, changed=f"{done.changed} set", unchanged="all of it was so already")


def consent(
    purpose: Annotated[Purpose, typer.Argument(help="What the data may be used for.")],
    answer: Annotated[Answer, typer.Argument(help="What was said.")],
    customer_id: Annotated[
        str, typer.Argument(metavar="ID", help="The shop's id of the customer.")
    ] = "",
    users: Annotated[
        Path | None, typer.Option("--users", help="File of ids, one a line, in place of ID.")
    ] = None,
    basis: Annotated[str, typer.Option(help="Where and how it was said.")] = "",
    kind: Kind = IdKind.USER,
    address: Address = None,
) -> None:
    """Record what one customer, or each of a file, said just now about one purpose.

    Example: recsys customers consent email granted 42 --basis 'newsletter form of 2026-03'

    Statements with times of their own: recsys import consents FILE.
    """
    if bool(customer_id) == (users is not None):
        raise InvalidInput("ID", customer_id, "either one ID, or a file of them with --users")
    ids = [customer_id] if users is None else read_ids(users)
    said = ConsentStatement(purpose, answer is Answer.GRANTED, utc_now(), basis)
    said.check()
    changes = [ConsentChange(_identified(kind, one), said) for one in ids]
    _say_recorded(changes, _recorded(changes, _address(address)), said.time)


def _recorded(changes: Sequence[ConsentChange], address: str) -> list[CustomersResult]:
    """Record statements, so many a call, and return what became of them, a result a call."""
    console = Console(stderr=True)
    with reached(address) as client:
        return [
            client.set_consents(changes[start : start + STATEMENTS_A_CALL])
            for start in track(
                range(0, len(changes), STATEMENTS_A_CALL),
                "recording",
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
        ]


def _say_recorded(
    changes: Sequence[ConsentChange], results: Sequence[CustomersResult], time: datetime
) -> None:
    """Say how many statements count, and which do not. Raises RecsysError where one does not."""
    rejected = [
        (place * STATEMENTS_A_CALL + one.index, one)
        for place, result in enumerate(results)
        for one in result.rejected
    ]
    recorded = sum(result.changed + result.unchanged for result in results)
    typer.echo(f"recorded {recorded:,} of {len(changes):,}, as of {time:%Y-%m-%d %H:%M:%S} UTC")
    for index, one in rejected[:_MOST_SAID]:
        value = changes[index].identifier.value
        typer.echo(printable(f"  {value}: {one.message}"), err=True)
    if rejected:
        raise RecsysError(
            f"{len(rejected):,} statements do not count, as said above",
            reason=rejected[0][1].reason,
        )


def _say(done: CustomersResult, *, changed: str, unchanged: str) -> None:
    """Say what became of a change. Raises RecsysError where it does not count."""
    for one in done.rejected:
        raise RecsysError(one.message, reason=one.reason)
    what = changed if done.changed else unchanged
    typer.echo(f"{what}; up to position {done.log_position:,} of the log")


def _address(given: str | None) -> str:
    return given or read_settings().address


def _identified(kind: IdKind, value: str, field: str = "ID") -> Identifier:
    """Return who is meant; an address stands for its hash. Raises InvalidInput."""
    of_address = kind is IdKind.EMAIL and "@" in value
    identifier = Identifier.of_email(value) if of_address else Identifier(kind, value)
    identifier.check(field)
    return identifier


def _parsed(text: str) -> Identifier:
    """Return the identifier of KIND:VALUE. Raises InvalidInput."""
    kind, colon, value = text.partition(":")
    if not colon or kind not in tuple(IdKind):
        wanted = f"KIND:VALUE, such as user:42, with a KIND of {', '.join(IdKind)}"
        raise InvalidInput("KIND:VALUE", text, wanted)
    return _identified(IdKind(kind), value, "KIND:VALUE")


def _property(text: str) -> tuple[str, str | None]:
    """Return a name and its value, None to take it away. Raises InvalidInput."""
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise InvalidInput("NAME=VALUE", text, "NAME=VALUE, such as tier=gold")
    return name, value or None
