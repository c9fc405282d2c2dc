from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.errors import InvalidInput, NotFound
from recsys.languages.language import check_language
from recsys.languages.reading import SHIPPED, read_languages, shipped
from recsys.query import ReasonCode
from recsys.why.explanation import FindingCode

TAGS = [path.stem for path in SHIPPED.glob("*.toml")]
SAID_BY_EVENT = "because_you_bought"


def folder(tmp_path: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (tmp_path / f"{name.replace('_', '-')}.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_danish_and_english_come_with_the_package() -> None:
    assert {"da", "en"} <= set(TAGS)


@pytest.mark.parametrize("tag", TAGS)
def test_shipped_language_has_every_sentence_itself_and_so_needs_no_english(tag: str) -> None:
    forms = shipped().by_tag[tag].forms

    assert {key for key, choices in forms.items() if len(choices) < (1 if tag == "en" else 2)} == (
        set()
    )


@pytest.mark.parametrize("tag", TAGS)
def test_shipped_sentence_says_all_that_the_english_one_says(tag: str) -> None:
    for choices in shipped().by_tag[tag].forms.values():
        own, english = choices[0].by_form["other"], choices[-1].by_form["other"]

        assert own.places == english.places


def test_every_code_has_a_sentence() -> None:
    forms = shipped().default.forms

    reasons = {f"reasons.{code}" for code in ReasonCode if code != "similar_to_history"}
    assert reasons <= set(forms)
    assert {f"why.{code}" for code in FindingCode} <= set(forms)
    assert f"reasons.{SAID_BY_EVENT}" in forms


@pytest.mark.parametrize(
    ("tag", "found"), [("da", "da"), ("DA-dk", "da"), ("en-GB", "en"), ("fi", "en"), ("", "en")]
)
def test_language_is_that_of_the_tag_then_of_its_base_then_the_default(
    tag: str, found: str
) -> None:
    assert shipped().of(tag).tag == found


def test_default_is_what_the_setting_says() -> None:
    assert read_languages(default="da-DK").of("fi").tag == "da"


@pytest.mark.parametrize(
    ("times", "said"), [(1, "én gang"), (2, "to gange"), (3, "3 gange"), (21, "21 gange")]
)
def test_number_takes_the_form_that_the_language_has_for_it(times: int, said: str) -> None:
    sentence = shipped().of("da").sentence("reasons.bought_before", {"times": str(times)}, times)

    assert sentence == f"Du har købt varen {said}"


def test_dates_and_numbers_are_written_as_the_language_writes_them() -> None:
    instant = datetime(2026, 5, 3, 23, 0, tzinfo=UTC)

    assert [shipped().of(tag).date(instant) for tag in ("en", "da")] == ["3 May", "3. maj"]
    assert [shipped().of(tag).number(1.25) for tag in ("en", "da")] == ["1.250", "1,250"]


def test_own_file_changes_what_it_says_and_leaves_the_rest(tmp_path: Path) -> None:
    languages = read_languages(folder(tmp_path, da='[reasons]\nnew = "Friskt på hylden"'))

    assert languages.of("da").sentence("reasons.new", {}) == "Friskt på hylden"
    assert languages.of("da").sentence("reasons.picked", {}) == "Udvalgt af butikken"
    assert languages.of("en").sentence("reasons.new", {}) == "It is new here"


def test_language_of_its_own_takes_what_it_lacks_from_its_base_then_from_english(
    tmp_path: Path,
) -> None:
    languages = read_languages(
        folder(tmp_path, de='[reasons]\nnew = "Neu"', de_AT='[reasons]\npicked = "Vom Geschäft"')
    )

    austrian = languages.of("de-AT")

    assert austrian.sentence("reasons.picked", {}) == "Vom Geschäft"
    assert austrian.sentence("reasons.new", {}) == "Neu"
    assert austrian.sentence("reasons.popular", {}) == "Popular with other customers right now"


def test_sentence_with_nothing_for_a_place_gives_way_to_the_next(tmp_path: Path) -> None:
    languages = read_languages(folder(tmp_path, en='[reasons]\npopular = "Popular in {category}"'))

    told, silent = (
        languages.of("en").sentence("reasons.popular", {"category": category})
        for category in ("Bread", "")
    )

    assert told == "Popular in Bread"
    assert silent == "Popular with other customers right now"


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ('[reasons]\nnew = "New, says {nobody}"', "reasons.new", "{nobody}"),
        ('[reasons]\nnew = "New since {date}"', "reasons.new", "{date}"),
        ('[reasons]\nnewest = "New"', "reasons.newest", "one of"),
        ('[reasons]\nnew = "{brand"', "reasons.new", "names in braces"),
        ('[reasons]\nnew = "{brand!r}"', "reasons.new", "names in braces"),
        ('[reasons]\nnew = "{0}"', "reasons.new", "names in braces"),
        ("[reasons]\nnew = 3", "reasons.new", "a text"),
        ('[reasons.bought_before]\nfew = "{times}"', "reasons.bought_before", "one, two, other"),
        ('[reasons.bought_before]\none = "once"', "reasons.bought_before", "other"),
        ('[dates]\nmonths = ["May"]', "dates.months", "twelve"),
        ('[dates]\npattern = "{week}"', "dates.pattern", "{day}"),
        ('[greetings]\nnew = "Hello"', "greetings", "reasons"),
        ("new =", "xx.toml", "TOML"),
    ],
)
def test_fault_in_a_file_is_named_with_file_and_key(
    tmp_path: Path, text: str, at: str, said: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_languages(folder(tmp_path, xx=text))

    assert "xx.toml" in caught.value.field
    assert at in caught.value.field
    assert said in str(caught.value)


def test_file_whose_name_is_no_tag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="BCP 47"):
        read_languages(folder(tmp_path, x='[reasons]\nnew = "New"'))


def test_missing_folder_and_missing_default_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no folder"):
        read_languages(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="one of da, en"):
        read_languages(default="fi")


@pytest.mark.parametrize("tag", ["d", "da_DK", "da-", "dansk på dansk", "da" + "-abcdefgh" * 4])
def test_what_is_no_tag_of_a_language_is_refused(tag: str) -> None:
    with pytest.raises(InvalidInput, match="language"):
        check_language("language", tag)
