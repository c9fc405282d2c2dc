"""How soon the catalog acts on answers, while it changes all the time: a part of `freshness`."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from statistics import median

import grpc
import numpy as np
from rich.table import Table

from benchmarks import harness
from benchmarks.catalog_probes import CatalogProber, CatalogProbing, Change
from benchmarks.catalog_publish import kept_memory
from benchmarks.connections import channel_to_each
from benchmarks.drawn_shop import DrawnShop
from benchmarks.harness import Number
from benchmarks.load import UPDATE_OFFERS, Load
from benchmarks.processes import WARMING_S, Window
from benchmarks.whole_server import WholeServer
from protos.recsys.v1 import catalog_service_pb2 as pb
from recsys.items import Item
from serving.clock import utc_now
from serving.log.writer import Writer

UPDATES_A_REQUEST = 100
PERCENTILES = (50, 95, 99)
LONG_AGO = timedelta(days=60)
"""When the items of the shop were described: none of them is a newcomer."""

Loaded = Callable[[int], Window]
"""Asks for home pages for a window, the number of which is given."""
Driven = Callable[[Load], Window]
"""Puts the server under a load for a window."""


@dataclass(frozen=True, slots=True)
class CatalogRun:
    """What the windows with a changing catalog saw.

    asked: home pages. streamed: changes of the catalog. memory: megabytes an overlay keeps, by
    what changed.
    """

    probing: CatalogProbing
    asked: Sequence[Window]
    streamed: Sequence[Window]
    memory: dict[str, float]


def describe_items(folder: Path, shop: DrawnShop) -> None:
    """Register the release's items in its rows, as it has them, described long ago."""
    catalog = shop.bundle.catalog
    items = [
        Item(
            catalog.vocabulary.id(row),
            catalog.titles[row],
            catalog.category_names[int(catalog.categories[row])],
            price=float(catalog.prices[row]),
            available=bool(catalog.items.sellable[row]),
        )
        for row in range(len(catalog))
    ]
    writer = Writer(folder / "log" / "log.sqlite", clock=lambda: utc_now() - LONG_AGO)
    writer.change_items(items)
    writer.close()


def measured(
    server: WholeServer, shop: DrawnShop, options: Namespace, loaded: Loaded, driven: Driven
) -> CatalogRun:
    """Probe while home pages are asked for and changes stream in."""
    windows = range(options.catalog_repeats)

    def streamed() -> list[Window]:
        return [driven(_stream(server, shop, options, number)) for number in windows]

    with ThreadPoolExecutor(2) as threads:
        asking = threads.submit(lambda: [loaded(number) for number in windows])
        streaming = threads.submit(streamed)
        probing = asyncio.run(_probed(server, shop, lambda: asking.done() or streaming.done()))
    asked, changes = asking.result(), streaming.result()
    kept = _within(probing, asked, changes)
    return CatalogRun(kept, asked, changes, kept_memory(options.items, options.seed))


def _within(probing: CatalogProbing, *loads: Sequence[Window]) -> CatalogProbing:
    """Return the probes that began within a window of each load: others do not count."""

    def counts(change: Change) -> bool:
        return all(
            any(0 <= change.acknowledged_at - one.began_at < one.seconds for one in windows)
            for windows in loads
        )

    kinds = _kinds(probing).values()
    gone, back, new = ([change for change in kind if counts(change)] for kind in kinds)
    return replace(probing, gone=gone, back=back, new=new)


async def _probed(
    server: WholeServer, shop: DrawnShop, until: Callable[[], bool]
) -> CatalogProbing:
    channels: list[grpc.aio.Channel] = list(
        (await channel_to_each(server.address, server.workers)).values()
    )
    prober = CatalogProber(channels, [bytes.fromhex(request) for request in shop.requests()])
    await prober.run(until)
    for channel in channels:
        await channel.close()
    return prober.found


def _stream(server: WholeServer, shop: DrawnShop, options: Namespace, number: int) -> Load:
    """Return the changes of one window: new prices of drawn items, none of them sent twice."""
    rate = options.changes / UPDATES_A_REQUEST
    n_requests = int(2 * rate * (options.seconds + WARMING_S + 5)) + 1
    rng = np.random.default_rng([options.seed, number])
    vocabulary = shop.bundle.catalog.vocabulary
    requests = [
        pb.UpdateOffersRequest(
            updates=[
                pb.OfferUpdate(item_id=vocabulary.id(int(row)), price=float(price))
                for row, price in zip(
                    rng.integers(0, options.items, UPDATES_A_REQUEST),
                    rng.uniform(1, 90, UPDATES_A_REQUEST).round(4),
                    strict=True,
                )
            ]
        )
        for _ in range(n_requests)
    ]
    return Load(
        address=server.address,
        method=UPDATE_OFFERS,
        requests=tuple(request.SerializeToString().hex() for request in requests),
        seconds=options.seconds,
        channels=4,
        in_flight=0,
        rate=rate,
        seed=options.seed + number,
    )


def metrics(run: CatalogRun) -> dict[str, Number]:
    """Return what was found, by name."""
    loads = [ms for window in run.asked for ms in window.latencies_ms]
    acknowledged = [ms for window in run.streamed for ms in window.latencies_ms]
    n = run.probing.n_workers
    return {
        **{
            f"{name}_p{p}_ms": _percentile(_waits(changes, place), p)
            for name, (changes, place) in _waited(run.probing).items()
            for p in PERCENTILES
        },
        **{f"{name}_probes": len(changes) for name, changes in _kinds(run.probing).items()},
        **{
            f"{name}_never": sum(len(change.obeyed_at) < n for change in changes)
            for name, changes in _kinds(run.probing).items()
        },
        "catalog_probe_errors": run.probing.errors,
        "catalog_changes_rate": median(one.items / one.seconds for one in run.streamed),
        "catalog_changes_errors": sum(one.errors for one in run.streamed),
        "catalog_ack_p50_ms": _percentile(acknowledged, 50),
        "catalog_ack_p99_ms": _percentile(acknowledged, 99),
        "catalog_background_rps": median(one.answers / one.seconds for one in run.asked),
        "catalog_background_p99_ms": _percentile(loads, 99),
        "catalog_background_errors": sum(one.errors for one in run.asked),
        **{f"overlay_mb_{name}": megabytes for name, megabytes in run.memory.items()},
    }


def tables(run: CatalogRun, told: dict[str, Number]) -> list[Table]:
    """Return what was found, for people."""
    waits = harness.table(
        "From the acknowledgement of a change until answers obey",
        "",
        *(f"p{percentile} ms" for percentile in PERCENTILES),
        "probes",
        "never",
    )
    words = {
        "catalog": "sold out: gone at the last worker",
        "catalog_back": "in stock again: back at the last worker",
        "new_item": "new: shown by one worker",
        "new_item_last": "new: shown by the last worker",
    }
    for name, (changes, _) in _waited(run.probing).items():
        never = told[f"{name.removesuffix('_last')}_never"]
        cells = (f"{told[f'{name}_p{percentile}_ms']:,.0f}" for percentile in PERCENTILES)
        waits.add_row(words[name], *cells, f"{len(changes):,}", f"{never}")
    beside = harness.table("Meanwhile", "", "a second", "errors", "p99 ms")
    for what, *names in (
        ("home pages", "background_rps", "background_errors", "background_p99_ms"),
        ("changes of items", "changes_rate", "changes_errors", "ack_p99_ms"),
    ):
        beside.add_row(what, *(f"{told[f'catalog_{name}']:,.0f}" for name in names))
    memory = harness.table("Memory that an overlay keeps, a worker", "", "MB")
    for name, megabytes in run.memory.items():
        memory.add_row(name.replace("_", " "), f"{megabytes:.2f}")
    return [waits, beside, memory]


def _kinds(probing: CatalogProbing) -> dict[str, list[Change]]:
    return {"catalog": probing.gone, "catalog_back": probing.back, "new_item": probing.new}


def _waited(probing: CatalogProbing) -> dict[str, tuple[list[Change], int]]:
    """Return the changes by measure, with how many workers had to obey, less one."""
    last = probing.n_workers - 1
    return {
        "catalog": (probing.gone, last),
        "catalog_back": (probing.back, last),
        "new_item": (probing.new, 0),
        "new_item_last": (probing.new, last),
    }


def _waits(changes: Sequence[Change], place: int) -> list[float]:
    """Return the milliseconds until a worker, and so many more, obeyed; infinite where never."""
    return [
        (one.obeyed_at[place] - one.acknowledged_at) * 1e3
        if len(one.obeyed_at) > place
        else float("inf")
        for one in changes
    ]


def _percentile(values: Sequence[float], percentile: float) -> float:
    return float(np.percentile(values or [np.nan], percentile, method="higher"))
