from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from recsys.bundle import MANIFEST_FILE, ModelBundle, _digest
from recsys.catalog import Catalog
from recsys.errors import CorruptBundle
from recsys.ids import ItemId, Vocabulary
from recsys.index.faiss_index import FaissIndex, IndexKind, IndexPlan
from recsys.items import Attribute, Item, Offer
from recsys.models.content import ContentModel
from recsys.models.described import Descriptions
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.placement import parse_placements
from tests import catalogs, shop
from tests.drawn_shops import drawn_bundle


def with_content(bundle: ModelBundle) -> ModelBundle:
    """Return the bundle with a content model in which each category is a direction."""
    descriptions = Descriptions.of(shop.items())
    hashes = np.unique(descriptions.hashes)
    vectors = np.random.default_rng(1).normal(size=(len(hashes), 3)).astype(np.float32)
    rarities = np.ones(len(hashes), dtype=np.float32)
    content = ContentModel(hashes, rarities, vectors, exponent=0.5, scale=0.7)
    factors = bundle.factors.with_foreseen(content.of(descriptions))
    return replace(
        bundle,
        factors=factors,
        index=FaissIndex.build(factors.items, factors.known, IndexPlan(IndexKind.FLAT, 0, 0.0)),
        content=content,
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    shop.bundle().save(tmp_path / "v1")
    return tmp_path / "v1"


def test_a_loaded_bundle_answers_as_the_one_that_was_saved(saved: Path) -> None:
    contexts = shop.contexts([shop.bought("bread", "coffee")])
    placements = parse_placements(shop.PLACEMENTS)

    loaded = compile_placements(placements, ModelBundle.load(saved))["home"].run(contexts)

    fresh = compile_placements(placements, shop.bundle())["home"].run(contexts)
    assert loaded.rows.tolist() == fresh.rows.tolist()
    assert loaded.scores.tolist() == fresh.scores.tolist()


def test_a_loaded_bundle_knows_how_items_go_with_each_other(tmp_path: Path) -> None:
    bundle = drawn_bundle(1)
    bundle.save(tmp_path / "v1")

    loaded = ModelBundle.load(tmp_path / "v1").relations

    expected = bundle.relations.arrays()
    assert loaded.arrays().keys() == expected.keys()
    for name, array in loaded.arrays().items():
        assert_array_equal(array, expected[name], err_msg=name)
    assert loaded.sessions.decay == 0.6


def test_a_loaded_bundle_knows_how_old_its_items_are(tmp_path: Path) -> None:
    since, bundle = shop.since(days=range(10)), shop.bundle()
    replace(bundle, catalog=replace(bundle.catalog, since=since)).save(tmp_path / "v1")

    assert ModelBundle.load(tmp_path / "v1").catalog.since.tolist() == since.tolist()


def test_a_loaded_bundle_knows_the_attributes_and_terms_of_its_items(tmp_path: Path) -> None:
    red, size = Attribute("color", "red"), Attribute("size", "38")
    bread, *others = shop.items()
    bread = replace(bread, attributes=(red, size), stock=3.0, offers=(Offer("DE", 2.0, stock=7.0),))
    items = dict(enumerate([bread, *others]))
    catalog = Catalog.of(Vocabulary.of(shop.ITEMS), items)
    replace(shop.bundle(), catalog=catalog).save(tmp_path / "v1")

    loaded = ModelBundle.load(tmp_path / "v1").catalog

    assert catalogs.told(loaded) == catalogs.told(catalog)
    assert loaded.attributes.at(0) == [red, size]
    assert loaded.attributes.numeric_names() == ["size"]
    change = loaded.attributes.replaced(np.array([1], dtype=np.int32), [(red,)], len(loaded))
    assert len(change.pairs) == 2  # the pair was found among those of the bundle
    assert loaded.offers.stocks.tolist() == [7.0]


def test_every_single_changed_byte_is_refused_with_the_files_name(saved: Path) -> None:
    rng = np.random.default_rng(1)
    for path in sorted(saved.iterdir()):
        if path.name == MANIFEST_FILE:
            continue
        whole = path.read_bytes()
        place = int(rng.integers(len(whole)))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])

        with pytest.raises(CorruptBundle, match=path.name):
            ModelBundle.load(saved)

        path.write_bytes(whole)
    assert ModelBundle.load(saved).version == "v1"


def test_a_missing_or_added_file_is_refused(saved: Path) -> None:
    (saved / "extra.npy").write_bytes(b"x")
    with pytest.raises(CorruptBundle, match=r"extra\.npy"):
        ModelBundle.load(saved)

    (saved / "extra.npy").unlink()
    (saved / "prices.npy").unlink()
    with pytest.raises(CorruptBundle, match=r"prices\.npy is missing"):
        ModelBundle.load(saved)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "not json"])
def test_a_manifest_that_is_none_is_refused(saved: Path, text: str) -> None:
    (saved / MANIFEST_FILE).write_text(text)

    with pytest.raises(CorruptBundle, match="manifest"):
        ModelBundle.load(saved)


@pytest.mark.parametrize("other", [1, 2, 3, 99])
def test_another_format_is_refused_with_what_to_do(saved: Path, other: int) -> None:
    content = json.loads((saved / MANIFEST_FILE).read_text())
    (saved / MANIFEST_FILE).write_text(json.dumps({**content, "format": other}))

    with pytest.raises(CorruptBundle, match=f"format {other}, this version reads 4; train again"):
        ModelBundle.load(saved)


def test_a_pickled_array_is_never_opened(saved: Path) -> None:
    array = np.array([{"code": "runs"}], dtype=object)
    np.save(saved / "prices.npy", array, allow_pickle=True)
    content = json.loads((saved / MANIFEST_FILE).read_text())

    content["files"]["prices.npy"] = _digest(saved / "prices.npy")
    (saved / MANIFEST_FILE).write_text(json.dumps(content))

    with pytest.raises(CorruptBundle, match="Python objects"):
        ModelBundle.load(saved)


def test_a_save_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recsys.bundle.np.save", full)

    with pytest.raises(OSError, match="No space left"):
        shop.bundle().save(tmp_path / "v1")

    assert list(tmp_path.iterdir()) == []


def test_the_content_model_foresees_alike_once_loaded(tmp_path: Path) -> None:
    bundle = with_content(shop.bundle())
    bundle.save(tmp_path / "v1")
    items = [Item(ItemId("new"), "Bread", "Bakery"), Item(ItemId("odd"), "Lamp")]

    loaded = ModelBundle.load(tmp_path / "v1")

    assert bundle.content is not None
    assert loaded.content is not None
    assert isinstance(loaded.content.vectors_of_features.base, np.memmap)
    assert loaded.content.vectors(items).tolist() == bundle.content.vectors(items).tolist()
    assert loaded.content.vectors(items)[0].any()
    assert loaded.factors.foreseen.tolist() == bundle.factors.foreseen.tolist()
    assert loaded.factors.foreseen.sum() == 2  # tea and cake


def test_a_bundle_without_descriptions_has_no_content_model(saved: Path) -> None:
    loaded = ModelBundle.load(saved)

    assert loaded.content is None
    assert len(loaded.factors.foreseen) == 0
    assert not list(saved.glob("content_*"))


def test_a_changed_content_model_is_refused(tmp_path: Path) -> None:
    with_content(shop.bundle()).save(tmp_path / "v1")
    path = tmp_path / "v1" / "content_vectors.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(CorruptBundle, match=r"content_vectors\.npy"):
        ModelBundle.load(tmp_path / "v1")


def test_what_was_learned_alone_decides_the_digest(tmp_path: Path) -> None:
    first = shop.bundle("v1").save(tmp_path / "v1")
    second = shop.bundle("v2").save(tmp_path / "v2")

    assert first.manifest.digest == second.manifest.digest
