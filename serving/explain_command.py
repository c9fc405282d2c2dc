"""The command `recsys explain`: why an item is in a list, or why it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys.why.explanation import Explanation
from serving.reach import reached
from serving.settings import read_settings
from serving.terminal import printable, printable_json

Item = Annotated[str, typer.Option("--item", help="The shop's id of the item in question.")]
PlacementName = Annotated[str, typer.Option("--placement", help="The list it is about.")]
User = Annotated[str, typer.Option("--user", help="The shop's id of the user.")]
Visitor = Annotated[str, typer.Option("--visitor", help="The shop's id of the browser.")]
Session = Annotated[str, typer.Option("--session", help="The shop's id of the visit.")]
Seeds = Annotated[list[str] | None, typer.Option("--seed", help="Item on the page; repeatable.")]
Cart = Annotated[list[str] | None, typer.Option("--cart", help="Item in the cart; repeatable.")]
Excluded = Annotated[
    list[str] | None, typer.Option("--exclude", help="Item to leave out; repeatable.")
]
Limit = Annotated[int, typer.Option(help="Most items; 0: the placement's own size.")]
Market = Annotated[str, typer.Option(help="Where the items are to be sold.")]
Filter = Annotated[str, typer.Option("--filter", help="What items have to be.")]
LanguageTag = Annotated[str, typer.Option(help="Of the sentences, such as da.")]
Address = Annotated[
    str | None, typer.Option("--address", help="host:port of a server; default: the settings'.")
]


def explain(
    item: Item,
    placement: PlacementName = "home",
    user: User = "",
    visitor: Visitor = "",
    session: Session = "",
    seed: Seeds = None,
    cart: Cart = None,
    exclude: Excluded = None,
    limit: Limit = 0,
    market: Market = "",
    filter: Filter = "",  # noqa: A002 - the option's name
    language: LanguageTag = "",
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Ask a running server why an item is in a list, or why it is not.

    Example: recsys explain --user 1364 --item 1082185 --placement home
    """
    with reached(address or read_settings().address) as client:
        found = client.explain(
            placement,
            item,
            user_id=user,
            visitor_id=visitor,
            session_id=session,
            seeds=seed or (),
            cart=cart or (),
            excluded=exclude or (),
            limit=limit,
            market=market,
            filter=filter,
            language=language,
        )
    (_print_json if as_json else _print)(found)


def _print_json(found: Explanation) -> None:
    typer.echo(printable_json(orjson.dumps(found).decode()))


def _print(found: Explanation) -> None:
    console = Console(highlight=False)
    for line in _lines(found):
        console.print(Text(printable(line)), soft_wrap=True)
    if found.ranking is not None:
        console.print(_shares(found))
    console.print(Text(printable(f"release {found.bundle_version}")))


def _lines(found: Explanation) -> Iterator[str]:
    stands = f"at place {found.position}" if found.listed else "not in the list"
    yield f"{found.item_id} in {found.placement} ({found.tier}): {stands}, {found.cause}"
    if found.reason is not None:
        yield f"  {found.reason.text}"
    for finding in found.findings:
        yield f"- {finding.text}"
    if found.rules:
        yield f"rules: {', '.join(found.rules)}"
    if found.degraded:
        yield f"degraded: {found.degraded}; less was used than is known"


def _shares(found: Explanation) -> Table:
    """Return what each source adds to the score."""
    shares = {one.source: one.share for one in found.ranking.contributions} if found.ranking else {}
    table = Table("Source", "Rank", "Asked for", "Share of the score")
    for one in found.proposals:
        share = f"{shares.get(one.source, 0.0):.0%}"
        rank = str(one.rank) if one.rank else "-"
        table.add_row(Text(printable(one.source)), rank, str(one.depth), share)
    return table
