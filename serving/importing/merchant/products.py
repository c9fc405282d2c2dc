"""One product of a feed, whatever the kind of file: names of attributes, and what they say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from recsys.errors import InvalidInput
from serving.importing.tables import Broken

Value = str | Mapping[str, str]
"""What an attribute says: a text, or the texts of its parts by their names."""

MOST_CHARACTERS = 1 << 16
"""Of one value; what is behind them is not kept, since no field holds so many."""

MOST_VALUES = 1_000
MOST_SIZE = 1 << 20
TOO_LARGE = f"a product of at most {MOST_VALUES:,} values and {MOST_SIZE:,} characters"

_PLURALS = {
    "product_types": "product_type",
    "product_details": "product_detail",
    "product_highlights": "product_highlight",
    "sizes": "size",
    "gtins": "gtin",
    "additional_image_links": "additional_image_link",
    "lifestyle_image_links": "lifestyle_image_link",
}
_BRACKETED = re.compile(r"\[([^\]]+)\]\s*$")
_PREFIX = re.compile(r"^(g|c):")
_DETAILED = re.compile(r"\(.*$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[Ll]abel)(?=\d)")
_GAPS = re.compile(r"[\s_-]+")

_IGNORED = frozenset((
    "additional_image_link", "ads_grouping", "ads_labels", "ads_redirect",
    "auto_pricing_min_price", "canonical_link", "certification", "channel",
    "cloud_export_additional_properties", "content_language", "cost_of_goods_sold",
    "custom_attributes", "destinations", "display_ads_id", "display_ads_link",
    "display_ads_similar_ids", "display_ads_title", "display_ads_value",
    "excluded_destination", "excluded_destinations", "external_seller_id", "feed_label",
    "free_shipping_threshold", "identifier_exists", "included_destination",
    "included_destinations", "installment", "kind", "legacy_local", "lifestyle_image_link",
    "link_template", "loyalty_points", "loyalty_program", "loyalty_programs",
    "max_handling_time", "maximum_retail_price", "min_handling_time", "mobile_link",
    "mobile_link_template", "name", "pause", "pickup_method", "pickup_sla", "product_status",
    "promotion_id", "promotion_ids", "return_policy_label",
    "sell_on_google_sale_price", "shopping_ads_excluded_countries",
    "shopping_ads_excluded_country", "source", "structured_description", "structured_title",
    "subscription_cost", "target_country", "tax_category", "transit_time_label",
    "unit_pricing_base_measure", "unit_pricing_measure", "version_number",
    "video_link", "video_links", "virtual_model_link",
))  # fmt: skip
_IGNORED_BEGINNINGS = ("shipping", "tax", "carrier_shipping", "handling_cutoff", "ships_from")


@dataclass(frozen=True, slots=True)
class Product:
    """What a feed says of one product.

    line: where it begins. said: values by attribute, in the feed's order, none of them empty.
    document: all of it as it came; None where its values tell as much.
    skipped: attributes that say nothing here, with how often.
    place: path of the product within its document, such as `resources[3]`; empty for none.
    fault: why it cannot be read at all.
    """

    line: int
    said: Mapping[str, list[Value]]
    document: Any = None
    skipped: Counter[str] = field(default_factory=Counter)
    place: str = ""
    fault: InvalidInput | None = None

    @property
    def row(self) -> Any:
        """All of it, as it can be imported again."""
        if self.document is not None:
            return self.document
        return {name: held[0] if len(held) == 1 else held for name, held in self.said.items()}

    @property
    def size(self) -> int:
        """About how many characters it has."""
        return sum(len(value) for values in self.said.values() for value in values)


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """Where a file can be read no further."""

    at: Broken


@lru_cache(maxsize=4_096)
def name_of(written: str) -> str:
    """Return the name of an attribute as Google's specification has it, such as `image_link`.

    written: in any of the forms `imageLink`, `image link`, `g:image_link`, `Image [image_link]`.
    """
    bracketed = _BRACKETED.search(written)
    plain = _DETAILED.sub("", _PREFIX.sub("", bracketed[1] if bracketed else written.strip()))
    name = _GAPS.sub("_", _HUMP.sub("_", plain).strip()).lower()
    return _PLURALS.get(name, name)


@lru_cache(maxsize=4_096)
def is_ignored(name: str) -> bool:
    """Return whether an attribute says nothing that recommendations need."""
    return name in _IGNORED or name.startswith(_IGNORED_BEGINNINGS)
