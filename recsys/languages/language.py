"""One language: its templates, how it writes dates and numbers, and the sentences it makes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from recsys.errors import InvalidInput

ENGLISH = "en"
"""The language that has every sentence."""

MOST_TAG = 35
"""Longest tag of a language, in characters (BCP 47 recommends to take as many)."""

FORMS = ("one", "two", "other")

_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


@dataclass(frozen=True, slots=True)
class Template:
    """A sentence with named places.

    parts: text and the place behind it, in turn; the last place is empty.
    """

    parts: tuple[tuple[str, str], ...]

    @property
    def places(self) -> frozenset[str]:
        """The names of its places."""
        return frozenset(place for _, place in self.parts if place)

    def fits(self, said: Mapping[str, str]) -> bool:
        """Return whether there is something for every place."""
        return all(said.get(place) for _, place in self.parts if place)

    def filled(self, said: Mapping[str, str]) -> str:
        """Return the sentence; a place nothing is said of is left empty."""
        return "".join(text + said.get(place, "") for text, place in self.parts)


@dataclass(frozen=True, slots=True)
class Forms:
    """A template for each form that a number has in a language; `other` is always there."""

    by_form: Mapping[str, Template]

    def of(self, count: int) -> Template:
        """Return the template for so many."""
        form = {1: "one", 2: "two"}.get(count, "other")
        return self.by_form.get(form, self.by_form["other"])


@dataclass(frozen=True, slots=True)
class Language:
    """What one language says.

    forms: of each key, such as `reasons.popular`, those to try in turn: the language's own first,
        English last.
    months: the names of the twelve. date_pattern: with places for day, month and year.
    decimal: what stands before a number's fraction.
    places: the names of all places in the sentences of a key.
    """

    tag: str
    forms: Mapping[str, Sequence[Forms]]
    months: tuple[str, ...]
    date_pattern: Template
    decimal: str
    places: Mapping[str, frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places = {key: _places(forms) for key, forms in self.forms.items()}
        object.__setattr__(self, "places", places)

    def sentence(self, key: str, said: Mapping[str, str], count: int = 0) -> str:
        """Return the first sentence of a key that there is enough said for.

        count: how many, where the language has several forms.
        """
        for forms in self.forms[key]:
            template = forms.of(count)
            if template.fits(said):
                break
        return template.filled(said)

    def date(self, instant: datetime) -> str:
        """Return the day of an instant, in words."""
        month = self.months[instant.month - 1]
        return self.date_pattern.filled(
            {"day": str(instant.day), "month": month, "year": str(instant.year)}
        )

    def number(self, value: float) -> str:
        """Return a number with three places behind its decimal mark."""
        return f"{value:.3f}".replace(".", self.decimal)


@dataclass(frozen=True, slots=True)
class Languages:
    """The languages there are, by their tags in small letters."""

    by_tag: Mapping[str, Language]
    default: Language

    def of(self, tag: str) -> Language:
        """Return the language of a tag, else of its base, else the default."""
        return next(
            (self.by_tag[one] for one in tags_behind(tag) if one in self.by_tag), self.default
        )


def _places(every: Iterable[Forms]) -> frozenset[str]:
    templates = (template for forms in every for template in forms.by_form.values())
    return frozenset().union(*(template.places for template in templates))


def tags_behind(tag: str) -> Iterable[str]:
    """Yield a tag in small letters, then what it is a kind of: `de-at-1996`, `de-at`, `de`."""
    parts = tag.lower().split("-")
    return ("-".join(parts[:n]) for n in range(len(parts), 0, -1))


def check_language(field: str, tag: str) -> None:
    """Raise InvalidInput unless this has the form of a language's tag."""
    if len(tag) > MOST_TAG or not _TAG.fullmatch(tag):
        raise InvalidInput(field, tag[:64], "a BCP 47 tag of a language, such as `da` or `en-GB`")
