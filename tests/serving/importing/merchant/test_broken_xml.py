"""XML that breaks off, is none, or means harm: what stands before the break lands."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys.errors import InvalidInput
from serving.importing.job import ImportCounts, Imported
from tests.serving.importing.catalog import CatalogImporter
from tests.serving.importing.importer import rejected
from tests.serving.importing.merchant.feeds import GOOD, RSS, RSS_END, item, rss, written


def tell(imported: Imported) -> tuple[int, str, str]:
    (told,) = rejected(imported)
    return told["line"], told["field"], told["came"]


BREAKS = {
    "cut in a tag": (GOOD + "<item>\n<g:id>tea</g:i", 4),
    "cut between items": (GOOD, 3),
    "bare ampersand": (GOOD + "<item>\n<g:title>A & B</g:title></item>" + RSS_END, 4),
    "wrong end": (GOOD + "<item></channel>", 3),
    "prefix without a name": (GOOD + "<item><x:id>1</x:id></item>" + RSS_END, 3),
    "entity nobody named": (GOOD + "<item><g:id>a&nbsp;b</g:id></item>" + RSS_END, 3),
    "NUL": (GOOD + "\n<item><g:id>a\0b</g:id></item>" + RSS_END, 4),
    "NUL by number": (GOOD + "<item><g:id>a&#0;b</g:id></item>" + RSS_END, 3),
    "two roots": (GOOD + RSS_END + "\n<rss/>", 5),
}


@pytest.mark.parametrize(("rest", "line"), BREAKS.values(), ids=BREAKS)
def test_what_stands_before_a_break_lands_and_the_break_is_told_with_its_line(
    rest: str, line: int, tmp_path: Path, importer: CatalogImporter
) -> None:
    imported = importer.feed(written(tmp_path / "feed.xml", RSS + rest))

    assert imported.counts == ImportCounts(2, 1, 0, 1)
    assert tell(imported)[:2] == (line, "")
    assert imported.broken is not None
    assert imported.broken.line == line
    assert [one.item_id for one in importer.items()] == ["good"]


@pytest.mark.parametrize(
    "declared", ["utf-8", "us-ascii", "utf-16", "no-such-encoding", "shift_jis"]
)
def test_wrong_encoding_is_told_with_its_line(
    declared: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    feed = f'<?xml version="1.0" encoding="{declared}"?>' + rss(item(title="Thé"))

    imported = importer.feed(written(tmp_path / "feed.xml", feed.encode("latin-1")))

    assert imported.counts == ImportCounts(1, 0, 0, 1)
    assert tell(imported)[0] in (1, 2)


@pytest.mark.parametrize("content", ["", "hello", "id\ttitle\n", "\0\1\2\3"])
def test_file_named_xml_that_is_none_is_told(
    content: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    imported = importer.feed(written(tmp_path / "feed.xml", content))

    assert imported.counts == ImportCounts(1, 0, 0, 1)
    assert tell(imported)[0] == 1


def test_packed_file_that_breaks_off_is_told_and_what_was_in_it_lands(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    items = [item(id=f"item {n}", title=os.urandom(20).hex()) for n in range(20_000)]
    packed = gzip.compress(rss(*items).encode())

    imported = importer.feed(written(tmp_path / "feed.xml.gz", packed[: len(packed) // 2]))

    assert imported.counts.accepted > 5_000
    assert imported.broken is not None
    assert imported.counts.rejected == 1


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "haha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 12))
    + "]>\n"
)
FETCHED = '<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a SYSTEM "file://{path}">]>\n'
OUTSIDE = '<!DOCTYPE rss SYSTEM "http://127.0.0.1:9/feed.dtd">\n'
PARAMETER = '<!DOCTYPE rss [<!ENTITY % p SYSTEM "file://{path}"> %p;]>\n'


@pytest.mark.parametrize(
    "head", [LAUGHS, FETCHED, OUTSIDE, PARAMETER, "<!DOCTYPE html>\n"],
    ids=["laughs", "file", "outside", "parameter", "page"],
)  # fmt: skip
def test_document_type_is_refused_and_nothing_is_fetched(
    head: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    secret = written(tmp_path / "secret", "the secret")
    feed = head.replace("{path}", str(secret)) + rss(item(title="&a;"), GOOD)

    with pytest.raises(InvalidInput, match="a feed without a document type") as caught:
        importer.feed(written(tmp_path / "feed.xml", feed))

    assert "the secret" not in str(caught.value)
    assert importer.items() == []


@pytest.mark.parametrize(
    "bad",
    [
        f'<item about="{"x" * (8 << 20)}"></item>',
        f"<!-- {'x' * (8 << 20)} -->",
        "<a>" * 100 + "</a>" * 100,
        "<item>" + "<g:id>" * 100 + "</g:id>" * 100 + "</item>",
    ],
    ids=["tag", "comment", "depth", "depth in an item"],
)
def test_xml_beyond_all_measure_is_told_as_a_break(
    bad: str, tmp_path: Path, importer: CatalogImporter
) -> None:
    imported = importer.feed(written(tmp_path / "feed.xml", RSS + GOOD + bad + RSS_END))

    assert imported.counts == ImportCounts(2, 1, 0, 1)
    assert tell(imported)[0] == 3


def test_document_within_an_item_is_part_of_its_text(
    tmp_path: Path, importer: CatalogImporter
) -> None:
    feed = rss("<item><g:id>tea</g:id><description>Green <b>tea</b> &lt;3</description></item>")

    importer.feed(written(tmp_path / "feed.xml", feed))

    assert importer.items()[0].description == "Green tea <3"


MEASURE = """
import resource, sys
from pathlib import Path
from serving.importing.merchant import products_of
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n = sum(1 for _ in products_of(Path(sys.argv[1])))
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory in KiB")
@pytest.mark.parametrize("kind", ["many items", "one huge title", "one item of many values"])
def test_memory_is_bounded_whatever_the_size_of_the_feed(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "feed.xml.gz"
    with gzip.open(file, "wt", compresslevel=1) as feed:
        feed.write(RSS)
        if kind == "many items":
            feed.writelines(item(id=f"item {n}", title="x" * 1_000) for n in range(60_000))
        elif kind == "one huge title":
            feed.write("<item><g:title>")
            feed.writelines("x" * (1 << 20) for _ in range(100))
            feed.write("</g:title></item>")
        else:
            feed.write("<item>")
            feed.writelines("<g:fact>x</g:fact>" * 1_000 for _ in range(1_000))
            feed.write("</item>")
        feed.write(RSS_END)

    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(file)], capture_output=True, text=True, check=True
    )

    n_products, kib = map(int, ran.stdout.split())
    assert n_products == (60_000 if kind == "many items" else 1)
    assert kib < 32 << 10
