"""Whoever is known by the hash of an e-mail address is found, and erased, where it stands plain."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta

import pytest

from recsys.customers import Identifier, IdKind
from serving.erasure.addresses import hashes_of_addresses
from serving.erasure.mentions import Mentioned, TextGate
from serving.erasure.search import search_files
from serving.erasure.sought import Certainty, Sought
from serving.log.event_log import Rejected
from serving.log.tail import LogTail
from tests.serving.erasure.shops import NOON, Shop

ADDRESS, OTHER = "anna.k@example.org", "bert@example.org"
ANNAS_MAIL = Identifier.of_email(ADDRESS)
TEXTS = [
    ADDRESS,
    "Anna.K@Example.ORG",
    f'x,"Anna K <{ADDRESS}>",y\n',
    f"write to {ADDRESS}.",
    "mailto:anna.k%40example.org?subject=x",
    f"{OTHER};{ADDRESS}",
    f"\x00\x01{ADDRESS}\x7f",
]
OTHERS = [OTHER, "anna.k@example.org.uk", "hanna.k@example.org", "anna.k example.org", "@", ""]


def planted(shop: Shop) -> None:
    """Put lines with her address, and with another, into every file of texts and the quarantine."""
    rejects, campaigns = shop.folder / "rejects", shop.folder / "campaigns"
    lines = [
        {
            "file": "f.csv",
            "line": 2,
            "came": "?",
            "row": {"contact": address.upper(), "item": "tea"},
        }
        for address in (ADDRESS, OTHER)
    ] + [{"file": "f.csv", "line": 3, "came": f"{ADDRESS};tea", "row": f"{ADDRESS};tea"}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (rejects / "mails.csv.rejects.jsonl").write_text(text.replace("@", "\\u0040"))
    with gzip.open(rejects / "older.rejects.jsonl.gz", "wt") as file:
        file.write(text)
    (campaigns / "sent.csv").write_text(f"to,token\nAnna <{ADDRESS}>,t\nBert <{OTHER}>,t\n")
    shop.take_in(rejected=(_rejected(ADDRESS, "no id"), _rejected(OTHER, f"{OTHER} is no id")))


def _rejected(address: str, message: str) -> Rejected:
    payload = json.dumps({"event_id": address, "query": address})
    return Rejected(payload, "INVALID_INPUT", message, "user_id", NOON)


def found_in(shop: Shop, identifier: Identifier) -> dict[str, int]:
    """Return how many certain places each store has, of those that have any."""
    sought = Sought.of(identifier, shop.keys)
    may = [shop.folder / "erasures"]
    searched = search_files(shop.folder, sought, may_hold_hash=may, told=lambda *_: None)
    return {one.store: len(one.certain) for one in searched if one.certain}


def lines_left(shop: Shop) -> list[str]:
    """Return the lines that still name anybody by an address."""
    paths = [one for folder in shop.places.texts.values() for one in sorted(folder.iterdir())]
    texts = [
        gzip.decompress(one.read_bytes()).decode() if one.suffix == ".gz" else one.read_text()
        for one in paths
    ]
    return [line for text in texts for line in text.splitlines() if "xample" in line.lower()]


@pytest.mark.parametrize("text", TEXTS)
def test_address_is_found_in_any_text(text: str) -> None:
    sought = Sought(ANNAS_MAIL)

    assert ANNAS_MAIL.value in hashes_of_addresses(text)
    assert sought.in_bytes(text.encode()) is Certainty.CERTAIN
    assert sought.in_field(text, "contact") is Certainty.CERTAIN
    assert sought.in_field(text, "user_id") is Certainty.CERTAIN  # a shop may use it so


@pytest.mark.parametrize("text", OTHERS)
def test_other_addresses_are_somebody_else(text: str) -> None:
    sought = Sought(ANNAS_MAIL)

    assert ANNAS_MAIL.value not in hashes_of_addresses(text)
    assert sought.in_bytes(text.encode()) is Certainty.NOT
    assert sought.in_field(text, "contact") is Certainty.NOT


def test_address_is_nothing_to_who_is_known_by_another_kind_of_id() -> None:
    user = Sought(Identifier(IdKind.USER, ANNAS_MAIL.value))

    assert user.in_bytes(ADDRESS.encode()) is Certainty.NOT
    assert user.in_field(ADDRESS, "contact") is Certainty.NOT


async def test_address_in_plain_is_found_in_files_and_gone_after_the_erasure(shop: Shop) -> None:
    planted(shop)
    before = found_in(shop, ANNAS_MAIL)
    lines = lines_left(shop)

    receipt = await shop.erase(ANNAS_MAIL)

    tail = LogTail(shop.places.log_file)
    kept = [one.payload for one in tail.quarantined(10) if "example" in one.payload]
    tail.close()
    assert set(before) == {"log", "rejects", "campaigns"}
    assert found_in(shop, ANNAS_MAIL) == {}
    assert [len(lines), len(lines_left(shop))] == [8, 3]
    assert [OTHER in one for one in kept] == [True]
    assert {one.store: one.removed for one in receipt.stores if one.removed} == {
        "log": 1,
        "rejects": 4,
        "campaigns": 1,
    }
    assert set(found_in(shop, Identifier.of_email(OTHER))) == set(before)


async def test_rejected_row_with_the_address_does_not_come_back(shop: Shop) -> None:
    gate = TextGate(shop.ledger, shop.keys)
    line = json.dumps({"line": 2, "row": {"contact": ADDRESS}})
    before = gate.lets_in(line)
    await shop.erase(ANNAS_MAIL)
    later = {"time": (shop.now + timedelta(days=1)).isoformat(), "user_id": ADDRESS}

    after = [gate.lets_in(one) for one in (line, f"{ADDRESS};tea", line.replace(ADDRESS, OTHER))]

    assert before
    assert after == [False, False, True]
    assert gate.lets_in(json.dumps(later))


async def test_address_in_a_field_that_names_nobody_is_a_mention_all_the_same(shop: Shop) -> None:
    shop.ask(ANNAS_MAIL)

    mentioned = Mentioned(shop.erased())

    assert mentioned(json.dumps({"order_id": f"o-1 {ADDRESS}"})) == 0
    assert mentioned(json.dumps({"order_id": f"o-1 {OTHER}"})) == -1
