"""Languages from files: TOML, one for each language, every template checked when it is read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from recsys.errors import InvalidInput, NotFound
from recsys.languages.language import (
    ENGLISH,
    FORMS,
    Forms,
    Language,
    Languages,
    Template,
    check_language,
    tags_behind,
)

SHIPPED = Path(__file__).parent
"""Where the languages are that come with the package."""

OF_THE_ITEM = frozenset({"brand", "category"})
"""Places that the sentence of every reason may use."""

_DATE_PLACES = frozenset({"day", "month", "year"})
_MONTHS = 12
_TABLES = ("dates", "numbers", "reasons", "why")


@dataclass(frozen=True, slots=True)
class LanguageFile:
    """What one file says.

    forms: by key, such as `reasons.popular`. months, date_pattern, decimal: None where left out.
    """

    forms: Mapping[str, Forms]
    months: tuple[str, ...] | None
    date_pattern: Template | None
    decimal: str | None


@cache
def shipped() -> Languages:
    """Return the languages that come with the package."""
    return read_languages()


def read_languages(folder: Path | None = None, default: str = ENGLISH) -> Languages:
    """Return the languages that come with the package, and those of a folder before them.

    default: tag of the language for whoever asks for none that there is.
    Raises NotFound where there is no such folder; InvalidInput naming the first file and key at
    fault, or the default where there is no such language.
    """
    if folder is not None and not folder.is_dir():
        raise NotFound(f"no folder of languages at {folder}", reason="NO_LANGUAGES")
    allowed = _allowed()
    files: dict[str, list[LanguageFile]] = {}
    for path in (*_files(folder), *_files(SHIPPED)):
        files.setdefault(path.stem.lower(), []).append(_read(path, allowed))
    languages = Languages(by_tag := {tag: _language(tag, files) for tag in files}, by_tag[ENGLISH])
    if not any(tag in by_tag for tag in tags_behind(default)):
        raise InvalidInput("language", default, f"one of {', '.join(sorted(by_tag))}")
    return Languages(by_tag, languages.of(default))


def _files(folder: Path | None) -> Iterator[Path]:
    for path in sorted(folder.glob("*.toml")) if folder else ():
        check_language(str(path), path.stem)
        yield path


def _language(tag: str, files: Mapping[str, list[LanguageFile]]) -> Language:
    """Return a language made of its own files, those of its base, and English, in that order."""
    tags = dict.fromkeys((*tags_behind(tag), ENGLISH))
    layers = [one for name in tags for one in files.get(name, ())]
    keys = files[ENGLISH][-1].forms
    return Language(
        tag,
        {key: [one.forms[key] for one in layers if key in one.forms] for key in keys},
        next(one.months for one in layers if one.months),
        next(one.date_pattern for one in layers if one.date_pattern),
        next(one.decimal for one in layers if one.decimal),
    )


@cache
def _allowed() -> Mapping[str, frozenset[str]]:
    """Return the places that each key may use: those of its English sentence."""
    english = _read(SHIPPED / f"{ENGLISH}.toml", None).forms
    places = {
        key: frozenset().union(*(one.places for one in forms.by_form.values()))
        for key, forms in english.items()
    }
    return {
        key: used | OF_THE_ITEM if key.startswith("reasons.") else used
        for key, used in places.items()
    }


def _read(path: Path, allowed: Mapping[str, frozenset[str]] | None) -> LanguageFile:
    """Return what a file says. Raises InvalidInput naming the file and the key at fault."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(str(path), str(error), "a TOML file in UTF-8") from error
    _check_keys(str(path), tables, _TABLES)
    dates = _table(path, tables, "dates", ("months", "pattern"))
    numbers = _table(path, tables, "numbers", ("decimal",))
    forms = {
        f"{table}.{key}": _forms(f"{path}: {table}.{key}", value)
        for table in ("reasons", "why")
        for key, value in _table(path, tables, table, None).items()
    }
    if allowed is not None:
        _check_places(path, forms, allowed)
    pattern = dates.get("pattern")
    return LanguageFile(
        forms,
        _months(path, dates.get("months")),
        None if pattern is None else _pattern(f"{path}: dates.pattern", pattern),
        None if "decimal" not in numbers else _text(f"{path}: numbers.decimal", numbers["decimal"]),
    )


def _table(path: Path, tables: dict[str, Any], name: str, keys: Iterable[str] | None) -> Any:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise InvalidInput(f"{path}: {name}", table, "a table")
    if keys is not None:
        _check_keys(f"{path}: {name}", table, keys)
    return table


def _check_keys(where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            raise InvalidInput(f"{where}: {key}", table[key], f"one of {', '.join(known)}")


def _check_places(
    path: Path, forms: Mapping[str, Forms], allowed: Mapping[str, frozenset[str]]
) -> None:
    """Raise InvalidInput for a key that is none, or a place that it has nothing for."""
    for key, found in forms.items():
        if key not in allowed:
            raise InvalidInput(f"{path}: {key}", key, f"one of {', '.join(sorted(allowed))}")
        for template in found.by_form.values():
            for place in sorted(template.places - allowed[key]):
                places = ", ".join(f"{{{one}}}" for one in sorted(allowed[key])) or "no places"
                raise InvalidInput(f"{path}: {key}", f"{{{place}}}", f"of places {places}")


def _forms(where: str, value: Any) -> Forms:
    if isinstance(value, dict):
        _check_keys(where, value, FORMS)
        if "other" not in value:
            raise InvalidInput(where, sorted(value), "the form `other` among them")
        return Forms({form: _template(f"{where}.{form}", one) for form, one in value.items()})
    return Forms({"other": _template(where, value)})


def _template(where: str, value: Any) -> Template:
    """Return the template of a text. Raises InvalidInput where it is none."""
    wanted = "a text whose places are names in braces, such as {anchor}"
    try:
        parts = list(Formatter().parse(_text(where, value)))
    except ValueError as error:
        raise InvalidInput(where, value, wanted) from error
    for _, place, layout, conversion in parts:
        if place is not None and (layout or conversion or not place.isidentifier()):
            raise InvalidInput(where, value, wanted)
    return Template(tuple((text, place or "") for text, place, _, _ in parts))


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidInput(where, value, "a text")
    return value


def _pattern(where: str, value: Any) -> Template:
    pattern = _template(where, value)
    for place in sorted(pattern.places - _DATE_PLACES):
        raise InvalidInput(where, f"{{{place}}}", "of places {day}, {month}, {year}")
    return pattern


def _months(path: Path, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != _MONTHS:
        raise InvalidInput(f"{path}: dates.months", value, "the names of twelve months")
    return tuple(_text(f"{path}: dates.months", one) for one in value)
