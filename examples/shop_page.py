"""What the demo shows of a page: four slots, a filter, and a merchandiser's pin and quota."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from examples.stage import ADDRESS, DATA, DemoFailed, console, lake_query, run, scene
from recsys.ids import ItemId
from recsys.query import Recommendation
from serving.api.page_client_codec import RecommendedPage
from serving.client import RecsysClient, Slot

OWN_BRAND = "Private"
RULES = """\
[rules.demo-own-brand]
kind = "quota"
items = 'brand = "{brand}"'
at_least = "50 %"
placements = ["home"]

[rules.demo-second]
kind = "pin"
item = "{pinned}"
position = 2
placements = ["home"]
"""
RULE_NAMES = ("demo-own-brand", "demo-second")
SLOTS = (
    Slot("cart", "complete the cart", limit=4),
    Slot("product", "goes with it", limit=4, filter='brand = "National"'),
    Slot("home", "for you", limit=6),
    Slot("email", "never tried", limit=4),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """Whoever looks at a page. product: on it. cart: what is in the cart."""

    user: str
    product: ItemId
    cart: tuple[ItemId, ...]


def show_page(household: str) -> None:
    """Fill the slots of a page under the shop's rules, and say why an item is missing."""
    scene("6. A page, as the shop wants it", "four slots, a filter, a pin and a quota, in one call")
    visit, rules = visit_of(household), DATA / "rules.toml"
    with RecsysClient(ADDRESS, timeout_ms=5_000) as client:
        pinned = client.recommend("home", user_id=household, limit=30).items[-1]
        write_rules(rules, pinned.item_id)
        run("rules", "apply", str(rules), "--author", "the demo", "--reason", "to be seen")
        time.sleep(1.0)  # a rule is live within a second
        page = ask_for_page(client, visit)
    console.print(page_table(page))
    console.print(fill_table(page))
    if repeats(page) or unmet(page.lists) or page["for you"].item_ids[1] != pinned.item_id:
        raise DemoFailed(f"the page repeats items or breaks a rule: {unmet(page.lists)}")
    asked = ("--user", household, "--placement", "home")
    run("explain", *asked, "--item", visit.cart[0], "--cart", visit.cart[0])
    run("rules", "remove", *RULE_NAMES, "--reason", "it was seen")


def visit_of(household: str) -> Visit:
    """Return a visit to a page of what a household bought last, with two more in the cart."""
    rows = lake_query(
        "SELECT item_id FROM {events} WHERE user_id = ? GROUP BY item_id "
        "ORDER BY max(time) DESC, item_id LIMIT 3",
        household,
    )
    product, *cart = (ItemId(str(row[0])) for row in rows)
    return Visit(household, product, tuple(cart))


def write_rules(path: Path, pinned: ItemId) -> None:
    """Write the file of rules that pins an item."""
    path.write_text(RULES.format(brand=OWN_BRAND, pinned=pinned), encoding="utf-8")


def ask_for_page(client: RecsysClient, visit: Visit) -> RecommendedPage:
    """Return all lists of the page."""
    return client.recommend_page(
        SLOTS, user_id=visit.user, seeds=[visit.product], cart=visit.cart, page_type="product"
    )


def repeats(page: RecommendedPage) -> int:
    """Return how many items stand on the page a second time."""
    shown = [item for one in page for item in one.item_ids]
    return len(shown) - len(set(shown))


def page_table(page: RecommendedPage) -> Table:
    """Return the lists side by side; items that a rule touched say so."""
    table = Table(*(slot.name for slot in page.slots), box=None)
    longest = max(len(one.items) for one in page)
    for place in range(longest):
        table.add_row(*(_cell(one, place) for one in page))
    return table


def fill_table(page: RecommendedPage) -> Table:
    """Return why each list is as long as it is."""
    table = Table("slot", "wanted", "eligible", "shown", "removed by each filter", box=None)
    for slot, one in zip(page.slots, page, strict=True):
        if one.fill is None:
            continue
        removed = (f"{part.name} {part.n_items:,}" for part in one.fill.removed if part.n_items)
        numbers = (one.fill.wanted, one.fill.eligible, one.fill.returned)
        table.add_row(slot.name, *(f"{number:,}" for number in numbers), ", ".join(removed))
    return table


def unmet(lists: Sequence[Recommendation]) -> list[str]:
    """Return the rules that could not be kept, each with why."""
    return [f"{one.rule}: {one.why}" for each in lists if each.fill for one in each.fill.unmet]


def _cell(answer: Recommendation, place: int) -> str:
    if place >= len(answer.items):
        return ""
    item = answer.items[place]
    rules = f" [yellow]({', '.join(item.rules)})[/]" if item.rules else ""
    return f"{item.title or item.item_id}{rules}"
