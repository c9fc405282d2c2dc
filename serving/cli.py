"""The commands of serving: serve, recommend, event, import, picks."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import orjson
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from recsys.errors import InvalidInput
from recsys.events import WITHOUT_ITEM, Channel, Event, EventType
from recsys.ids import ItemId
from recsys.query import Recommendation
from recsys.variables import unknown_variables
from serving.clock import utc_now
from serving.customers_commands import add_commands
from serving.erasure.commands import customers_app
from serving.events_commands import events_app
from serving.explain_command import explain
from serving.importing.command import import_app
from serving.reach import reached
from serving.rules.commands import rules_app
from serving.settings import ServingSettings, read_settings
from serving.state_commands import state_app
from serving.telemetry import announce, start_logging
from serving.terminal import printable, printable_json

if TYPE_CHECKING:
    from serving.client import RecsysClient

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(import_app, name="import")
app.add_typer(events_app, name="events")
app.add_typer(state_app, name="state")
add_commands(customers_app)
app.command()(explain)
app.add_typer(rules_app, name="rules")
app.add_typer(customers_app, name="customers")

DataFolder = Annotated[Path | None, typer.Option("--data-folder", help="Where everything is kept.")]
Address = Annotated[
    str | None, typer.Option("--address", help="host:port of a server; default: the settings'.")
]
User = Annotated[str, typer.Option("--user", help="The shop's id of the user.")]
Visitor = Annotated[str, typer.Option("--visitor", help="The shop's id of the browser.")]
Session = Annotated[str, typer.Option("--session", help="The shop's id of the visit.")]
PlacementName = Annotated[
    str, typer.Option("--placement", help="home, product, cart, email, or your own.")
]
Seeds = Annotated[
    list[str] | None, typer.Option("--seed", help="Item on the page or in the cart; repeatable.")
]
Excluded = Annotated[
    list[str] | None, typer.Option("--exclude", help="Item to leave out; repeatable.")
]
Kind = Annotated[EventType, typer.Option("--type", help="What was done.")]
Item = Annotated[
    str,
    typer.Option("--item", help=f"Item; may be left out for {', '.join(sorted(WITHOUT_ITEM))}."),
]
Quantity = Annotated[float, typer.Option(help="Pieces; of a refund, those given back.")]
Price = Annotated[float | None, typer.Option(help="Of one piece.")]
Currency = Annotated[str, typer.Option(help="Of the price, such as EUR.")]
OrderId = Annotated[str, typer.Option(help="Ties an order's lines and refunds together.")]
ChannelName = Annotated[
    Channel, typer.Option("--channel", metavar="CHANNEL", help=", ".join(filter(None, Channel)))
]
Outlet = Annotated[str, typer.Option(help="Place within the channel, such as a store's number.")]
Rating = Annotated[float | None, typer.Option(help="From 1 to 5; for a rating.")]
SearchQuery = Annotated[str, typer.Option("--query", help="What was searched for; for a search.")]
Category = Annotated[str, typer.Option(help="Such as 'Grocery > Bread'; for a category_view.")]
CampaignId = Annotated[str, typer.Option(help="Of an e-mail.")]
Token = Annotated[str, typer.Option(help="attribution_token of the list behind it.")]
UserAgent = Annotated[str, typer.Option(help="Software behind it; robots are told by it.")]
EventId = Annotated[str, typer.Option(help="The shop's id of the event; default: new.")]
EVENT_EXAMPLES = (
    "Further examples: recsys event --visitor 7f3a --type search --query 'rye bread' --channel web"
    "\n\nrecsys event --user 42 --type rating --item 1029743 --rating 4"
    "\n\nrecsys event --user 42 --type refund --item 1029743 --quantity 2 --order-id 8017"
)


@app.command()
def serve(
    data_folder: DataFolder = None,
    port: Annotated[int | None, typer.Option(help="Port of gRPC; 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Loopback address to listen on.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; 0: one a core, at most 2.")
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Redis to use; default: the embedded Valkey.")
    ] = None,
    placements: Annotated[str | None, typer.Option(help="Your own placements.toml.")] = None,
) -> None:
    """Answer recommendations and take events over gRPC, until Ctrl-C.

    Example: recsys serve --port 50051

    Further settings: RECSYS_<KEY>, or a file named by RECSYS_SERVING_CONFIG.
    """
    from serving.supervisor import supervise  # not at the top: the other commands need none of it

    settings = _settings(
        data_folder=data_folder,
        port=port,
        host=host,
        workers=workers,
        redis_url=redis_url,
        placements=placements,
    )
    start_logging(settings.log_level)
    asyncio.run(supervise(settings, announce))


@app.command()
def recommend(
    placement: PlacementName = "home",
    user: User = "",
    visitor: Visitor = "",
    session: Session = "",
    seed: Seeds = None,
    exclude: Excluded = None,
    limit: Annotated[int, typer.Option(help="Most items; 0: the placement's own size.")] = 0,
    market: Annotated[str, typer.Option(help="Where the items are to be sold.")] = "",
    language: Annotated[str, typer.Option(help="Of the sentences, such as da.")] = "",
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Ask a running server what to show one customer.

    Example: recsys recommend --user 42 --placement home --limit 5
    """
    with _client(address) as client:
        answer = client.recommend(
            placement,
            user_id=user,
            visitor_id=visitor,
            session_id=session,
            seeds=seed or (),
            excluded=exclude or (),
            limit=limit,
            market=market,
            language=language,
        )
    (_print_json if as_json else _print)(answer)


@app.command(epilog=EVENT_EXAMPLES)
def event(
    kind: Kind,
    item: Item = "",
    user: User = "",
    visitor: Visitor = "",
    session: Session = "",
    quantity: Quantity = 1.0,
    price: Price = None,
    currency: Currency = "",
    order_id: OrderId = "",
    channel: ChannelName = Channel.UNSPECIFIED,
    outlet: Outlet = "",
    rating: Rating = None,
    query: SearchQuery = "",
    category: Category = "",
    campaign_id: CampaignId = "",
    token: Token = "",
    user_agent: UserAgent = "",
    event_id: EventId = "",
    address: Address = None,
) -> None:
    """Tell a running server what one customer did; it counts in the next answer.

    Example: recsys event --user 42 --type purchase --item 1029743 --price 2.49 --currency EUR
    """
    one = Event(
        event_id or uuid4().hex, kind, utc_now(), ItemId(item), user, visitor, session, quantity,
        price, currency, order_id, channel, outlet, token, rating, query, category, campaign_id,
    )  # fmt: skip
    _send(one, user_agent, address)


@app.command()
def picks(
    placement: Annotated[str, typer.Option(help="Whose lists to write.")],
    out: Annotated[Path, typer.Option(help="File to write: CSV, or JSON Lines as .jsonl.")],
    limit: Annotated[int, typer.Option(help="Most customers; 0: all of the file, else 100.")] = 0,
    users: Annotated[
        Path | None, typer.Option(help="File of user ids, one a line; default: seen last.")
    ] = None,
    data_folder: DataFolder = None,
) -> None:
    """Write what to recommend to many customers into a file, as for an e-mail.

    Example: recsys picks --placement email --out picks.csv --limit 100

    Works with or without a running server.
    """
    from serving.campaigns.picks import PicksJob, write_picks  # not at the top: loads the models

    settings = _settings(data_folder=data_folder)
    start_logging("warning")
    job = PicksJob(placement, out, users, limit)
    with _progress() as told:
        counts = asyncio.run(write_picks(settings, job, utc_now, told))
    print(
        f"{out}: {counts.customers:,} customers, {counts.items:,} items, "
        f"{counts.unknown:,} customers of whom nothing is known (they get what is popular), "
        f"{counts.unsubscribed:,} left out who have not agreed to e-mails, "
        f"release {counts.release}"
    )


def _settings(**flags: Any) -> ServingSettings:
    """Return the settings; say which variables look like ours and set nothing."""
    for warning in unknown_variables(os.environ):
        print(f"recsys: {warning}", file=sys.stderr)
    return read_settings(**flags)


def _send(one: Event, user_agent: str, address: str | None) -> None:
    """Send an event and say what became of it. Raises InvalidInput where it cannot be used."""
    one.check()
    with _client(address) as client:
        result = client.write_events([one], user_agents=[user_agent])
    for rejected in result.rejected:
        raise InvalidInput(rejected.field, rejected.message, "an event that can be used")
    what = "recorded" if result.accepted else "known already"
    of = f" of {one.item_id}" if one.item_id else ""
    print(f"{what}: {one.type}{of}, up to position {result.position} of the log")


def _client(address: str | None) -> AbstractContextManager[RecsysClient]:
    """Give a client of a server; it says what to do where none answers there."""
    return reached(address or _settings().address)


def _print_json(answer: Recommendation) -> None:
    print(printable_json(orjson.dumps(answer).decode()))


def _print(answer: Recommendation) -> None:
    console = Console(highlight=False)
    title = printable(f"{answer.placement} ({answer.tier})")
    table = Table("", "Item", "Id", "Score", "Why", title=Text(title, style="table.title"))
    for item in answer.items:
        name = item.title or item.item_id
        cells = (str(item.position), name, item.item_id, f"{item.score:.3f}", item.reason.text)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)
    for line in _remarks(answer):
        console.print(Text(printable(line)), soft_wrap=True)


def _remarks(answer: Recommendation) -> Iterator[str]:
    yield f"release {answer.bundle_version}"
    if answer.degraded:
        yield f"degraded: {answer.degraded}; the customer was taken as unknown"
    if answer.missing_ids:
        yield f"not in this release: {', '.join(answer.missing_ids)}"


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give what shows how far a job has come, on standard error."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def told(doing: str, done: int, of: int) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing)
            progress.update(tasks[doing], completed=done, total=of)

        yield told
