from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import InvalidInput, NotFound
from recsys.pipeline.placement import (
    DEFAULT_PLACEMENTS,
    NewcomersConfig,
    parse_placements,
    read_placements,
)

GOOD = """
[placements.home]
situation = "visit"
size = 10
sources = [{ kind = "popular", k = 10 }]
"""


NEW = "newcomers = { share = 0.05, days = 30, evidence = 5 }"


def test_a_share_for_newcomers_is_read_and_none_is_the_default() -> None:
    with_share = parse_placements(GOOD.replace("size = 10", f"size = 10\n{NEW}"))

    assert with_share["home"].newcomers == NewcomersConfig(share=0.05, days=30, evidence=5)
    assert parse_placements(GOOD)["home"].newcomers is None


def test_the_placements_that_come_along_are_home_product_cart_and_email() -> None:
    assert set(read_placements(DEFAULT_PLACEMENTS)) == {"home", "product", "cart", "email"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("size = 10", "size = 0"), "placements.home.size"),
        (("size = 10", "size = 501"), "placements.home.size"),
        (("size = 10", "size = 10\ncolour = 'red'"), "placements.home.colour"),
        (("k = 10", "k = 10, depth = 3"), r"sources.0.depth"),
        (('"popular"', '"magic"'), r"sources.0.kind"),
        (('"visit"', '"stroll"'), "placements.home.situation"),
        (("[{", "[] #[{"), "placements.home.sources"),
        (("size = 10", f"size = 10\n{NEW.replace('0.05', '0')}"), r"home\.newcomers\.share"),
        (("size = 10", f"size = 10\n{NEW.replace('0.05', '0.6')}"), r"home\.newcomers\.share"),
        (("size = 10", f"size = 10\n{NEW.replace('30', '-1')}"), r"home\.newcomers\.days"),
        (("size = 10", f"size = 10\n{NEW.replace('5 }', '0 }')}"), r"home\.newcomers\.evidence"),
        (("size = 10", f"size = 10\n{NEW.replace('days', 'weeks')}"), r"home\.newcomers"),
        (("size = 10", "size = 10\nfilters = [{ kind = 'nice' }]"), r"filters.0"),
    ],
)
def test_a_wrong_field_is_refused_at_every_depth_by_its_path(
    change: tuple[str, str], field: str
) -> None:
    with pytest.raises(InvalidInput, match=field):
        parse_placements(GOOD.replace(*change))


def test_text_that_is_not_toml_is_refused_by_the_files_name() -> None:
    with pytest.raises(InvalidInput, match=r"mine\.toml"):
        parse_placements("[[", name="mine.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.toml"):
        read_placements(tmp_path / "none.toml")


def test_a_folder_or_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")

    for path in (tmp_path, tmp_path / "bytes.toml"):
        with pytest.raises(InvalidInput, match=path.name):
            read_placements(path)


def test_a_file_without_placements_says_what_is_wanted() -> None:
    with pytest.raises(InvalidInput, match=r"\[placements\.NAME\]"):
        parse_placements("size = 3")
