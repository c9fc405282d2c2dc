"""The laws of rules, over random ones and random pages in the tiny shop."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.fill_report import FillReport, Unmet
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.pages import Part, Place, Placements, composed
from recsys.pipeline.placement import parse_placements
from recsys.query import Page, Query
from recsys.rules.book import RuleBook
from recsys.rules.rule import Amount, Rule, RuleKind
from recsys.state import UserState
from recsys.timelines import Ragged
from tests import shop
from tests.laws.test_pages import CONDITIONS, PIPELINES, may_show, pages, states

NARROW = compile_placements(
    parse_placements(
        shop.PLACEMENTS.replace("k = 10", "k = 1").replace("placements.home", "placements.narrow")
    ),
    shop.bundle(),
    CONDITIONS,
)["narrow"]
"""As `home`, with sources that propose next to nothing."""
PRICE = {item: 1.0 + row for row, item in enumerate(shop.ITEMS)}
CATEGORY = dict(zip(shop.ITEMS, shop.CATEGORIES, strict=True))

KINDS_OF_ITEMS: dict[str, Callable[[str], bool]] = {
    'category = "Dairy"': lambda item: CATEGORY[item] == "Dairy",
    'category in ("Drinks", "Pantry")': lambda item: CATEGORY[item] in ("Drinks", "Pantry"),
    "price <= 3": lambda item: PRICE[item] <= 3,
    "price > 6": lambda item: PRICE[item] > 6,
    'title = "Soap"': lambda item: item == "soap",
    "price > 100": lambda _: False,
}
"""Filters, and what they say of the tiny shop."""

kinds_of_items = st.sampled_from(sorted(KINDS_OF_ITEMS))
amounts = st.integers(0, 4).map(lambda n: Amount(float(n))) | st.sampled_from(
    (0.2, 0.3, 0.5, 1.0)
).map(lambda share: Amount(share, share=True))
factors = {RuleKind.BOOST: 10.0, RuleKind.BURY: 0.1}


@st.composite
def rules(draw: st.DrawFn, name: str = "one", kinds: Sequence[RuleKind] = tuple(RuleKind)) -> Rule:
    kind = draw(st.sampled_from(kinds))
    rule = Rule(
        name,
        kind,
        items=draw(kinds_of_items) if kind is not RuleKind.PIN else "",
        placements=draw(st.sampled_from(((), ("home", "again", "narrow"), ("product",)))),
        audience=draw(st.sampled_from(("", "customer.known", "not customer.known"))),
        priority=draw(st.integers(0, 2)),
        factor=factors.get(kind),
    )
    if kind is RuleKind.PIN:
        item = draw(st.sampled_from((*shop.ITEMS, "nothing")))
        rule = replace(rule, item=item, position=draw(st.integers(1, 6)))
    if kind is RuleKind.QUOTA:
        which = draw(st.sampled_from(("least", "most", "both", "per")))
        if which == "per":
            rule = replace(rule, items="", per="category", at_most=draw(amounts))
        elif which == "both":
            rule = replace(rule, at_least=Amount(1.0), at_most=Amount(2.0))
        elif which == "least":
            rule = replace(rule, at_least=draw(amounts))
        else:
            rule = replace(rule, at_most=draw(amounts))
    rule.check()
    return rule


@st.composite
def books(draw: st.DrawFn) -> RuleBook:
    return RuleBook.of(draw(rules(f"rule-{place}")) for place in range(draw(st.integers(1, 5))))


def parts(asked: Sequence[Page], known: Sequence[UserState], book: RuleBook) -> list[Part]:
    contexts = shop.contexts(known, [page.asker for page in asked])
    pipelines = {**PIPELINES, "narrow": NARROW}
    return list(composed(asked, contexts, Placements(pipelines, CONDITIONS, book)))


def lists(found: Sequence[Part]) -> dict[Place, list[str]]:
    """Return the items of every list, those of fallbacks behind."""
    items: dict[Place, list[str]] = {}
    for part in found:
        for query, place in enumerate(part.places):
            rows = part.filled.listed.rows[part.filled.listed.queries == query]
            items.setdefault(place, []).extend(shop.names(rows))
    return items


def reports(found: Sequence[Part]) -> dict[Place, FillReport]:
    """Return the report of every list: of one that was filled up, that of what fills it."""
    return {
        place: part.filled.report(query)
        for part in found
        for query, place in enumerate(part.places)
    }


def in_force(book: RuleBook, query: Query, known: UserState) -> list[Rule]:
    """Return the rules for a list, each looked at by itself."""
    alone = shop.contexts([known], [query])
    lines = (alone.history, alone.purchases, alone.opinions)
    anything = any(len(line.rows) for line in lines)
    audiences = {"": True, "customer.known": anything, "not customer.known": not anything}
    return [
        rule
        for rule in book.rules
        if audiences[rule.audience] and (not rule.placements or query.placement in rule.placements)
    ]


def kept(rule: Rule, items: Sequence[str]) -> bool:
    """Return whether a list keeps a pin or a quota: what the promise says, word for word."""
    if rule.kind is RuleKind.PIN:
        assert rule.position
        return items[rule.position - 1 : rule.position] == [rule.item]
    counts = Counter(
        CATEGORY[item] if rule.per else "all"
        for item in items
        if not rule.items or KINDS_OF_ITEMS[rule.items](item)
    )
    n_items = len(items)
    enough = rule.at_least is None or _value(rule.at_least, n_items) <= counts.total() + 1e-6
    most = max(counts.values(), default=0)
    return enough and (rule.at_most is None or most <= _value(rule.at_most, n_items) + 1e-6)


def _value(amount: Amount, n_items: int) -> float:
    return amount.value * n_items if amount.share else amount.value


@settings(max_examples=150)
@given(st.data())
def test_pins_and_quotas_hold_or_the_report_says_which_do_not(data: st.DataObject) -> None:
    asked = data.draw(st.lists(pages(), min_size=1, max_size=3))
    known, book = [data.draw(states) for _ in asked], data.draw(books())

    found = parts(asked, known, book)

    told = reports(found)
    for place, items in lists(found).items():
        query = asked[place.page].queries[place.slot]
        unmet = {one.rule for one in told[place].unmet}
        rules = in_force(book, query, known[place.page])
        wishes = [one for one in rules if one.kind in (RuleKind.PIN, RuleKind.QUOTA)]
        assert unmet == {rule.name for rule in wishes if not kept(rule, items)}


@settings(max_examples=150)
@given(st.data())
def test_what_a_rule_excludes_is_never_shown_nor_what_may_not_be(data: st.DataObject) -> None:
    asked = data.draw(st.lists(pages(), min_size=1, max_size=3))
    known, book = [data.draw(states) for _ in asked], data.draw(books())

    found = lists(parts(asked, known, book))

    for place, items in found.items():
        query, state = asked[place.page].queries[place.slot], known[place.page]
        allowed = may_show(query, state)
        fallback = PIPELINES[query.placement].fallback
        if fallback:
            allowed = allowed | may_show(replace(query, placement=fallback), state)
        assert all(allowed[shop.ROW[item]] for item in items)
        for rule in in_force(book, query, state):
            if rule.kind is RuleKind.EXCLUDE:
                assert not any(KINDS_OF_ITEMS[rule.items](item) for item in items)
    for number, page in enumerate(asked):
        together = [one for slot in range(len(page.queries)) for one in found[Place(number, slot)]]
        assert len(together) == len(set(together))


@settings(max_examples=150)
@given(st.data())
def test_an_arranger_gives_lists_of_eligible_items_each_once_and_none_shorter_than_before(
    data: st.DataObject,
) -> None:
    asked = [Page((data.draw(pages()).queries[0],)) for _ in range(data.draw(st.integers(1, 3)))]
    known, book = [data.draw(states) for _ in asked], data.draw(books())

    found = [part for part in parts(asked, known, book) if part.more.arranger and not part.fills]

    for part in found:
        taken = Ragged.empty(len(part.places))
        plain = part.pipeline.fill(part.contexts, taken, replace(part.more, arranger=None))
        lengths = part.filled.lengths()
        assert (lengths <= part.filled.wanted).all()
        assert part.pipeline.fallback or (lengths >= plain.lengths()).all()
        filters = (*part.pipeline.filters, *part.more.filters)
        own = part.contexts.relating_to(part.pipeline.relates_to)
        eligible = replace(part.pipeline, filters=filters).eligible(own)
        listed = part.filled.listed
        assert eligible.allows(listed.queries, listed.rows).all()
        pairs = list(zip(listed.queries.tolist(), listed.rows.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs) == len(part.filled.rules)


@settings(max_examples=150)
@given(st.data())
def test_rules_leave_lists_with_popular_items_as_long_as_they_can_be(data: st.DataObject) -> None:
    page, known, book = data.draw(pages()), data.draw(states), data.draw(books())
    query = page.queries[0]

    found = parts([Page((query,))], [known], book)

    ended = found[-1]
    if "popular" in ended.pipeline.source_names:
        report = ended.filled.report(0)
        n_free = report.eligible - report.on_page
        assert report.returned == min(report.wanted, n_free)


@settings(max_examples=150)
@given(st.data(), st.integers(1, 5), st.sampled_from(("home", "narrow")), states)
def test_one_rule_alone_is_kept_wherever_it_can_be(
    data: st.DataObject, limit: int, placement: str, known: UserState
) -> None:
    drawn = data.draw(rules(kinds=(RuleKind.PIN, RuleKind.QUOTA)))
    rule = replace(drawn, placements=(), audience="")
    query = shop.query(placement, limit=limit)

    found = parts([Page((query,))], [known], RuleBook.of([rule]))

    allowed = may_show(replace(query, placement="home"), known)
    free = shop.names(np.flatnonzero(allowed).astype(np.int32))
    told = reports(found)[Place(0, 0)].unmet
    assert bool(told) != _possible(rule, free, limit)


def _possible(rule: Rule, free: Sequence[str], limit: int) -> bool:
    """Return whether any list of what is free keeps a rule, by looking at all of them."""
    n_items = min(limit, len(free))
    if rule.kind is RuleKind.PIN:
        return rule.item in free and (rule.position or 0) <= n_items
    return any(kept(rule, one) for one in combinations(free, n_items))


@settings(max_examples=100)
@given(st.data())
def test_the_order_in_which_rules_are_given_changes_nothing(data: st.DataObject) -> None:
    asked, known, book = [data.draw(pages())], [data.draw(states)], data.draw(books())
    shuffled = list(book.rules)
    random.Random(data.draw(st.integers(0, 99))).shuffle(shuffled)

    one, other = parts(asked, known, book), parts(asked, known, RuleBook.of(shuffled))

    assert lists(one) == lists(other)
    assert reports(one) == reports(other)


@settings(max_examples=100)
@given(st.data())
def test_a_batch_under_rules_gives_what_its_pages_give_one_by_one(data: st.DataObject) -> None:
    asked = data.draw(st.lists(pages(), min_size=2, max_size=3))
    known, book = [data.draw(states) for _ in asked], data.draw(books())

    together = parts(asked, known, book)

    for number, page in enumerate(asked):
        alone = parts([page], [known[number]], book)
        mine = {
            Place(0, place.slot): sorted(items)
            for place, items in lists(together).items()
            if place.page == number
        }
        assert mine == {place: sorted(items) for place, items in lists(alone).items()} or any(
            _nearly_tied(one) for one in alone
        )


def _nearly_tied(part: Part) -> bool:
    """Return whether some scores are so close that a batch may order them otherwise."""
    return bool(np.abs(np.diff(np.sort(part.filled.listed.scores))).min(initial=1.0) < 1e-3)


def test_a_higher_priority_takes_the_position_and_the_other_is_told() -> None:
    pins = [Rule(f"pin-{item}", RuleKind.PIN, item=item, position=2) for item in ("tea", "soap")]
    query = shop.query("home", limit=4)

    first = parts([Page((query,))], [UserState.unknown()], RuleBook.of(pins))
    raised = [pins[0], replace(pins[1], name="z", priority=1)]
    second = parts([Page((query,))], [UserState.unknown()], RuleBook.of(raised))

    assert lists(first)[Place(0, 0)][1] == "soap"  # the lesser name of two of one priority
    assert lists(second)[Place(0, 0)][1] == "soap"
    assert reports(first)[Place(0, 0)].unmet == (
        Unmet("pin-tea", "a rule before it holds the position"),
    )
