"""The windows in which the whole service takes in events, and what they amount to."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from statistics import median

import numpy as np
from rich.table import Table

from benchmarks import harness
from benchmarks.event_batches import EventBatches
from benchmarks.harness import Spread
from benchmarks.kept_events import Found, Sent
from benchmarks.load import WRITE_EVENTS, Load
from benchmarks.processes import Window, cores, driven
from benchmarks.whole_server import WholeServer

SATURATED = 0.95
N_SAMPLED = 500


class IngestRun:
    """The windows of one run, and what was sent in them."""

    def __init__(self, options: Namespace) -> None:
        self.clean: list[Window] = []
        self.poisoned: list[Window] = []
        self.waits: list[Window] = []
        self.sent: list[Sent] = []
        self._options = options
        self._batches = EventBatches(
            "", options.batch, options.items, options.seed, now=int(time.time())
        )

    @property
    def request_bytes(self) -> int:
        """The length of a request."""
        return len(self._batches.drawn()(0))

    @property
    def half_rate(self) -> float:
        """Half of the batches a second that the server took; at least one in two seconds."""
        return max(median(window.answers / window.seconds for window in self.clean), 1.0) / 2

    def measure(self, server: WholeServer) -> None:
        """Saturate the server, with clean and poisoned batches in turn; then load it by half.

        The turns go clean, poisoned, poisoned, clean, and so on, since states grow and each window
        finds more of them than the one before: no kind is always the later of two.
        """
        options = self._options
        for place in range(options.repeats):
            for poisoned in turn(place):
                windows, letter = (self.poisoned, "p") if poisoned else (self.clean, "c")
                windows.append(self._window(server, f"{letter}{place}", poisoned=poisoned))
        rate = self.half_rate
        wanted = options.samples / rate / options.repeats
        seconds = min(max(options.seconds, wanted), options.most_seconds)
        for place in range(options.repeats):
            self.waits.append(self._window(server, f"w{place}", rate=rate, seconds=seconds))

    def sampled(self) -> list[int]:
        """Return some customers, drawn by chance."""
        rng = np.random.default_rng(self._options.seed)
        drawn: list[int] = rng.integers(0, self._batches.n_customers, N_SAMPLED).tolist()
        return sorted(set(drawn))

    def _window(
        self,
        server: WholeServer,
        name: str,
        *,
        poisoned: bool = False,
        rate: float = 0.0,
        seconds: float = 0.0,
    ) -> Window:
        options = self._options
        batches = self._batches.named(name, poisoned=poisoned)
        plan = Load(
            address=server.address,
            method=WRITE_EVENTS,
            requests=(),
            seconds=seconds or options.seconds,
            channels=options.channels,
            in_flight=options.in_flight,
            rate=rate,
            seed=options.seed,
            batches=batches,
        )
        window = driven(server, plan, clients=options.clients, on_cores=cores()[1])
        self.sent += [
            Sent(batches.of_client(place), tally.acknowledged, tally.unknown)
            for place, tally in enumerate(window.tallies)
        ]
        return window


def turn(place: int) -> tuple[bool, bool]:
    """Return which of two neighbouring windows is poisoned: the later one in every other pair."""
    return (False, True) if place % 2 == 0 else (True, False)


def accepted(windows: Sequence[Window]) -> Spread:
    """Return events accepted a second."""
    return Spread.of([window.items / window.seconds for window in windows])


def batches_a_cpu_second(windows: Sequence[Window]) -> Spread:
    """Return requests answered in a second of the server's processor time."""
    return Spread.of([window.answers / max(window.cpu_seconds, 0.01) for window in windows])


def poison_ratios(run: IngestRun, *, by_cpu: bool) -> list[float]:
    """Return requests a second with poison, as a share of those without, by neighbours."""
    seconds = [
        [window.cpu_seconds if by_cpu else window.seconds for window in windows]
        for windows in (run.clean, run.poisoned)
    ]
    pairs = zip(run.clean, run.poisoned, *seconds, strict=True)
    return [
        (bad.answers / max(bad_s, 0.01)) / max(good.answers / max(good_s, 0.01), 1e-9)
        for good, bad, good_s, bad_s in pairs
    ]


def interval(ratios: Sequence[float], seed: int) -> tuple[float, float]:
    """Return the bootstrap 95 % interval of the median."""
    drawn = np.random.default_rng(seed).choice(np.array(ratios), (10_000, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)


def percentile_ms(windows: Sequence[Window], percentile: float) -> float:
    """Return a percentile over the acknowledgements of all windows."""
    every = [ms for window in windows for ms in window.latencies_ms]
    return float(np.percentile(every or [np.nan], percentile))


def costs_us(run: IngestRun) -> dict[str, float]:
    """Return microseconds of processor time an event, by role, over all clean windows."""
    events = max(sum(window.items for window in run.clean), 1)
    return {
        role: sum(window.cpu[role] for window in run.clean) / events * 1e6
        for role in ("worker", "valkey", "supervisor")
    }


def throughput_table(run: IngestRun, empty: Sequence[Window]) -> Table:
    """Return the saturated windows for people."""
    made = harness.table(
        "One core for everything of the server, saturated (least / median / most)",
        "server",
        "events/s",
        "batches/s",
        "batches/CPU-s",
        "CPU share",
        "errors",
        "limit",
    )
    rows = (("clean", run.clean), ("1 % poison", run.poisoned), ("empty grpc.aio", empty))
    for name, windows in rows:
        share = median(window.cpu_share for window in windows)
        made.add_row(
            name,
            accepted(windows).shown() if windows is not empty else "",
            Spread.of([window.answers / window.seconds for window in windows]).shown(),
            batches_a_cpu_second(windows).shown(),
            f"{share:.0%}",
            str(sum(window.errors for window in windows)),
            "server" if share >= SATURATED else "client, disk or machine",
        )
    return made


def cost_table(run: IngestRun) -> Table:
    """Return where the processor time of an event goes, for people."""
    made = harness.table("Processor time of the whole server", "process", "us an event", "share")
    costs = costs_us(run)
    for role, us in costs.items():
        made.add_row(role, f"{us:.1f}", f"{us / max(sum(costs.values()), 1e-9):.0%}")
    made.add_row("all", f"{sum(costs.values()):.1f}", "")
    return made


def wait_table(run: IngestRun) -> Table:
    """Return how long acknowledgements took, for people."""
    made = harness.table(
        "Acknowledgement of a batch, open loop at half of that, from the intended send time",
        "batches/s",
        "samples",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "errors",
    )
    made.add_row(
        f"{run.half_rate:,.0f}",
        f"{sum(window.answers for window in run.waits):,}",
        *(f"{percentile_ms(run.waits, percentile):.1f}" for percentile in (50, 95, 99)),
        str(sum(window.errors for window in run.waits)),
    )
    return made


def kept_table(found: Found, missing: int) -> Table:
    """Return whether everything is there, for people."""
    made = harness.table("Kept", "acknowledged", "lost", "doubled", "invented", "not in a state")
    numbers = (found.acknowledged, found.lost, found.doubled, found.invented, missing)
    made.add_row(*(f"{number:,}" for number in numbers))
    return made
