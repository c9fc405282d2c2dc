"""The commands of serving: serve, recommend, event, import, picks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from recsys.errors import InvalidInput
from recsys.events import WITHOUT_ITEM, Channel, Event, EventType
from recsys.ids import ItemId
from serving.clock import utc_now
from serving.command_settings import settings_of
from serving.customers_commands import add_commands
from serving.erasure.commands import customers_app
from serving.events_commands import events_app
from serving.explain_command import explain
from serving.importing.command import import_app
from serving.reach import reached
from serving.recommend_command import EXAMPLES, recommend
from serving.rules.commands import rules_app
from serving.state_commands import state_app
from serving.telemetry import announce, start_logging

if TYPE_CHECKING:
    from serving.client import RecsysClient

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(import_app, name="import")
app.add_typer(events_app, name="events")
app.add_typer(state_app, name="state")
add_commands(customers_app)
app.command(epilog=EXAMPLES)(recommend)
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
SoldIn = Annotated[str, typer.Option("--market", help="Where it was done, such as DE.")]
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

    settings = settings_of(
        data_folder=data_folder,
        port=port,
        host=host,
        workers=workers,
        redis_url=redis_url,
        placements=placements,
    )
    start_logging(settings.log_level)
    asyncio.run(supervise(settings, announce))


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
    market: SoldIn = "",
    address: Address = None,
) -> None:
    """Tell a running server what one customer did; it counts in the next answer.

    Example: recsys event --user 42 --type purchase --item 1029743 --price 2.49 --currency EUR
    """
    one = Event(
        event_id or uuid4().hex, kind, utc_now(), ItemId(item), user, visitor, session, quantity,
        price, currency, order_id, channel, outlet, token, rating, query, category, campaign_id,
        market=market,
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

    settings = settings_of(data_folder=data_folder)
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
    return reached(address or settings_of().address)


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
