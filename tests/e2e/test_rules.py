"""Rules through the real service: applied once, they act in every worker, and survive a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsys.errors import InvalidInput, NotFound, Unavailable
from recsys.query import Recommendation
from recsys.rules.conflicts import ConflictKind
from recsys.rules.rule import Amount, Rule, RuleKind
from serving.api.admin_client import AdminClient
from serving.client import RecsysClient
from serving.port import held_port
from tests import shop
from tests.e2e.running import DataFolder, Server, wait_until

MANY_CHANNELS = 12
"""So many that every worker has some."""
NO_BREAD = Rule("no-bread", RuleKind.EXCLUDE, items='title = "Bread"')
TEA_FIRST = Rule("tea-first", RuleKind.PIN, item="tea", position=1, placements=("home",))


@pytest.fixture
def admin_port() -> int:
    with held_port("127.0.0.1", 0) as port:
        return port


@pytest.fixture
def served(data: DataFolder, admin_port: int) -> Iterator[Server]:
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    server = Server.ready(data, RECSYS_ADMIN_PORT=str(admin_port))
    yield server
    server.end()


def admin(port: int) -> AdminClient:
    return AdminClient(f"127.0.0.1:{port}", timeout_ms=20_000)


def lists(client: RecsysClient) -> list[Recommendation]:
    """Return the list of a stranger as every connection shows it."""
    return [client.recommend("home", user_id="stranger", limit=4) for _ in range(MANY_CHANNELS)]


def first_everywhere(client: RecsysClient, *items: str) -> Callable[[], bool]:
    return lambda: all(one.item_ids[: len(items)] == items for one in lists(client))


def test_rules_act_in_every_worker_survive_a_restart_and_go(
    served: Server, admin_port: int
) -> None:
    with admin(admin_port) as merchandiser, served.client(channels=MANY_CHANNELS) as client:
        assert first_everywhere(client, "bread", "butter")()

        done = merchandiser.apply_rules([NO_BREAD, TEA_FIRST], author="ida", reason="a test")
        wait_until(first_everywhere(client, "tea", "butter"), "rules in every worker")

        answer = lists(client)[0]
        assert set(done.changed) == {"no-bread", "tea-first"}
        assert answer.items[0].rules == ("tea-first",)
        assert answer.fill
        removed = {one.name: one.n_items for one in answer.fill.removed}
        assert removed["rule no-bread"] == 1
    assert served.stop() == 0

    again = Server.ready(served.data, RECSYS_ADMIN_PORT=str(admin_port))
    try:
        with admin(admin_port) as merchandiser, again.client(channels=MANY_CHANNELS) as client:
            assert first_everywhere(client, "tea", "butter")()

            merchandiser.remove_rule("no-bread", author="ida", reason="over")
            wait_until(first_everywhere(client, "tea", "bread"), "the rule gone everywhere")

            versions = merchandiser.rule_history("no-bread")
            assert [(one.version, one.rule) for one in versions] == [(2, None), (1, NO_BREAD)]
            assert [(one.by.author, one.by.reason) for one in versions] == [
                ("ida", "over"),
                ("ida", "a test"),
            ]
    finally:
        again.end()


def test_merchandisers_are_told_before_anything_happens(served: Server, admin_port: int) -> None:
    everything = Rule("much", RuleKind.QUOTA, 'category = "Dairy"', at_least=Amount(9.0))
    old = Rule("old", RuleKind.EXCLUDE, items='title = "Tea"', ends=shop.NOW.replace(year=2020))
    with admin(admin_port) as merchandiser, served.client() as client:
        dry = merchandiser.apply_rules(
            [TEA_FIRST, old], author="ida", reason="a test", validate_only=True
        )
        (shown,) = merchandiser.preview_rules([TEA_FIRST, everything], "home", ["stranger"])
        checked = merchandiser.check_rules([everything])

        assert list(merchandiser.list_rules()) == []
        assert first_everywhere(client, "bread", "butter")()
    assert [one.kind for one in dry.conflicts] == [ConflictKind.EXPIRED]
    assert shown.before.item_ids[0] == "bread"
    assert shown.after.item_ids[0] == "tea"
    assert shown.after.fill
    assert [one.rule for one in shown.after.fill.unmet] == ["much"]
    assert "much is not kept" in "\n".join(shown.changes())
    assert [one.kind for one in checked] == [ConflictKind.QUOTAS_TOO_HIGH] * len(checked) != []


def test_wrong_calls_name_the_field_or_the_rule(served: Server, admin_port: int) -> None:
    wrong = Rule("wrong", RuleKind.PIN, item="tea", position=0)
    with admin(admin_port) as merchandiser, served.client() as client:
        with pytest.raises(InvalidInput, match=r"rules\[0\].position"):
            merchandiser.apply_rules([wrong], author="ida", reason="a test")
        with pytest.raises(InvalidInput, match="author"):
            merchandiser.apply_rules([TEA_FIRST], author="", reason="a test")
        with pytest.raises(NotFound, match="no rule gone"):
            merchandiser.remove_rule("gone", author="ida", reason="a test")
        with pytest.raises(NotFound, match="placement"):
            merchandiser.preview_rules([TEA_FIRST], "nowhere", ["stranger"])

        assert client.recommend("home", user_id="stranger").item_ids


def test_command_line_reaches_a_running_server(
    served: Server, admin_port: int, tmp_path: Path
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[rules.tea-first]\nkind = "pin"\nitem = "tea"\nposition = 1\n')
    (tmp_path / "users").write_text("stranger\n")
    with served.client(channels=MANY_CHANNELS) as client:
        shown = served.data.recsys(
            "rules", "preview", str(file), "--users", str(tmp_path / "users"), COLUMNS="160"
        )
        applied = served.data.recsys("rules", "apply", str(file), "--reason", "a test")

        wait_until(first_everywhere(client, "tea", "bread"), "the rule in every worker")
    assert "+ Tea at 1 (tea-first)" in shown.stdout
    assert "1 rules changed: tea-first" in applied.stdout
    with admin(admin_port) as merchandiser:
        assert [one.name for one in merchandiser.list_rules()] == ["tea-first"]


def test_port_of_merchandisers_that_is_taken_is_said(data: DataFolder) -> None:
    with held_port("127.0.0.1", 0) as taken:
        done = data.recsys("serve", RECSYS_ADMIN_PORT=str(taken))

    assert done.returncode != 0
    assert f"port {taken}" in done.stderr
    assert "RECSYS_ADMIN_PORT" in done.stderr


def test_without_a_port_merchandisers_are_not_served(data: DataFolder, admin_port: int) -> None:
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    server = Server.ready(data)
    try:
        assert server.said("ready")[0]["admin"] is None
        with admin(admin_port) as merchandiser, pytest.raises(Unavailable):
            list(merchandiser.list_rules())
    finally:
        server.end()
