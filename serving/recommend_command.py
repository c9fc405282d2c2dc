"""The command `recsys recommend`: what to show one customer, as a list, a page or groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys.events import Channel
from recsys.pipeline.groupings import RecommendedGroups
from recsys.query import PageType, Recommendation, RecommendedItem
from serving.command_settings import settings_of
from serving.degraded import lacking
from serving.reach import reached
from serving.terminal import printable, printable_json

PlacementName = Annotated[
    str, typer.Option("--placement", help="home, product, cart, email, ... or your own.")
]
Placements = Annotated[
    list[str] | None,
    typer.Option("--page", help="Placement of a slot of one page; repeatable."),
]
User = Annotated[str, typer.Option("--user", help="The shop's id of the user.")]
Visitor = Annotated[str, typer.Option("--visitor", help="The shop's id of the browser.")]
Session = Annotated[str, typer.Option("--session", help="The shop's id of the visit.")]
Seeds = Annotated[list[str] | None, typer.Option("--seed", help="Item on the page; repeatable.")]
Cart = Annotated[list[str] | None, typer.Option("--cart", help="Item in the cart; repeatable.")]
Excluded = Annotated[
    list[str] | None, typer.Option("--exclude", help="Item to leave out; repeatable.")
]
Candidates = Annotated[
    list[str] | None,
    typer.Option("--candidate", help="Item to rank, among no others; repeatable."),
]
Limit = Annotated[int, typer.Option(help="Most items, or groups; 0: the placement's own size.")]
Market = Annotated[str, typer.Option(help="Where the items are to be sold.")]
Filter = Annotated[
    str, typer.Option("--filter", help="What items have to be, such as 'price < 20'.")
]
Diversity = Annotated[float | None, typer.Option(help="How unlike the items are to be, 0 to 1.")]
RotationRate = Annotated[
    float | None, typer.Option(help="How far what was shown in vain steps back, 0 to 1.")
]
MinRelevance = Annotated[
    float | None, typer.Option(help="Share of the best relevance that each item reaches, 0 to 1.")
]
Search = Annotated[str, typer.Option(help="What the customer searched for.")]
Category = Annotated[str, typer.Option(help="Of the page, such as 'Grocery > Bread'.")]
Kind = Annotated[
    PageType, typer.Option("--page-type", metavar="KIND", help=", ".join(filter(None, PageType)))
]
ChannelName = Annotated[
    Channel, typer.Option("--channel", metavar="CHANNEL", help=", ".join(filter(None, Channel)))
]
Device = Annotated[str, typer.Option(help="What the page is seen on, such as phone.")]
LanguageTag = Annotated[str, typer.Option("--language", help="Of the sentences, such as da.")]
Fields = Annotated[
    list[str] | None,
    typer.Option("--fields", help="Field to show of each item, such as price; repeatable."),
]
GroupBy = Annotated[
    str, typer.Option(help="Show groups: category, brand, or an attribute that is a text.")
]
Level = Annotated[int, typer.Option(help="Names of a category's path that make a group; 0: all.")]
ItemsPerGroup = Annotated[int, typer.Option(help="Most items of a group; 0: three.")]
Address = Annotated[
    str | None, typer.Option("--address", help="host:port of a server; default: the settings'.")
]
EXAMPLES = (
    "Further examples: recsys recommend --page bought_together --page home --seed 1082185 --limit 4"
    "\n\nrecsys recommend --placement rerank --user 42 --candidate 1029743 --candidate 995242"
    "\n\nrecsys recommend --placement search_no_results --search 'rye bred'"
    "\n\nrecsys recommend --user 42 --group-by category --level 1"
    "\n\nrecsys recommend --placement on_sale --filter 'price < 20' --fields price --fields brand"
)


_ASKER = {
    "user": "user_id",
    "visitor": "visitor_id",
    "session": "session_id",
    "seed": "seeds",
    "exclude": "excluded",
    "fields": "item_fields",
    **{name: name for name in ("market", "cart", "search", "category", "language", "device")},
    **{name: name for name in ("page_type", "channel")},
}
"""What the client calls the options that tell who asks, and where."""
_WISHES = {
    "candidate": "candidates",
    **{name: name for name in ("limit", "filter", "diversity", "rotation_rate", "min_relevance")},
}
_GROUPS = {name: name for name in ("limit", "filter", "level", "items_per_group")}


def recommend(
    placement: PlacementName = "home",
    page: Placements = None,
    user: User = "",
    visitor: Visitor = "",
    session: Session = "",
    seed: Seeds = None,
    cart: Cart = None,
    exclude: Excluded = None,
    candidate: Candidates = None,
    limit: Limit = 0,
    market: Market = "",
    filter: Filter = "",  # noqa: A002 - the option's name
    diversity: Diversity = None,
    rotation_rate: RotationRate = None,
    min_relevance: MinRelevance = None,
    search: Search = "",
    category: Category = "",
    page_type: Kind = PageType.UNSPECIFIED,
    channel: ChannelName = Channel.UNSPECIFIED,
    device: Device = "",
    language: LanguageTag = "",
    fields: Fields = None,
    group_by: GroupBy = "",
    level: Level = 0,
    items_per_group: ItemsPerGroup = 0,
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Ask a running server what to show one customer.

    Example: recsys recommend --user 42 --placement home --limit 5
    """
    said = locals()
    asker, wishes = _given(said, _ASKER), _given(said, _WISHES)
    with reached(address or settings_of().address) as client:
        if group_by:
            groups = _given(said, _GROUPS)
            _show_groups(client.recommend_groups(placement, group_by, **asker, **groups), as_json)
        elif page:
            from serving.client import Slot  # not at the top: gRPC takes long to load

            slots = [Slot(name, **wishes) for name in page]
            _show_page(client.recommend_page(slots, **asker).lists, as_json)
        else:
            _show(client.recommend(placement, **asker, **wishes), as_json)


def _given(said: Mapping[str, object], names: Mapping[str, str]) -> dict[str, Any]:
    """Return what was said of these options, under the client's names for them."""
    given = {name: said[option] for option, name in names.items() if said[option] is not None}
    return {name: tuple(one) if isinstance(one, list) else one for name, one in given.items()}


def _show(answer: Recommendation, as_json: bool) -> None:
    if as_json:
        _print_json(answer)
    else:
        _print(answer)


def _show_page(lists: Sequence[Recommendation], as_json: bool) -> None:
    if as_json:
        _print_json(lists)
        return
    for answer in lists:
        _print(answer)


def _show_groups(found: RecommendedGroups, as_json: bool) -> None:
    if as_json:
        _print_json(found)
        return
    console = Console(highlight=False)
    for group in found.groups:
        console.print(_table(f"{group.value} ({group.score:.3f})", group.items))
    if not found.groups:
        console.print("no groups: nothing in the list has the field")
    for line in _remarks(found):
        console.print(Text(printable(line)), soft_wrap=True)


def _print_json(answer: object) -> None:
    typer.echo(printable_json(orjson.dumps(answer).decode()))


def _print(answer: Recommendation) -> None:
    console = Console(highlight=False)
    console.print(_table(f"{answer.placement} ({answer.tier})", answer.items))
    if answer.about:
        console.print(Text(printable(f"about {', '.join(answer.about)}")), soft_wrap=True)
    for line in _remarks(answer):
        console.print(Text(printable(line)), soft_wrap=True)


def _table(title: str, items: Sequence[RecommendedItem]) -> Table:
    """Return items as a table; with their fields, where some were asked for."""
    names = tuple(dict.fromkeys(field.name for item in items for field in item.fields))
    headings = ("", "Item", "Id", "Score", "Why", *names)
    table = Table(title=Text(printable(title), style="table.title"))
    for heading in headings:
        table.add_column(Text(printable(heading)))
    for item in items:
        name, values = item.title or item.item_id, {one.name: one.value for one in item.fields}
        cells = (str(item.position), name, item.item_id, f"{item.score:.3f}", item.reason.text)
        shown = (*cells, *(_value(values.get(field, "")) for field in names))
        table.add_row(*(Text(printable(cell)) for cell in shown))
    return table


def _value(value: str | float | tuple[str, ...]) -> str:
    match value:
        case str():
            return value
        case tuple():
            return ", ".join(value)
        case _:
            return f"{value:g}"


def _remarks(answer: Recommendation | RecommendedGroups) -> Iterator[str]:
    yield f"release {answer.bundle_version}" if answer.bundle_version else "no release yet"
    if answer.degraded:
        yield f"degraded: {answer.degraded}; {lacking(answer.degraded)}"
    if answer.missing_ids:
        yield f"not in this release: {', '.join(answer.missing_ids)}"
