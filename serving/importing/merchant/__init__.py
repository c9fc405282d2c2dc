"""Product feeds as shops write them for Google Merchant Center, taken as they are."""

from __future__ import annotations

from serving.importing.merchant.feed import products_of
from serving.importing.merchant.items import catalog_changes, item_of
from serving.importing.merchant.products import BrokenOff, Product

__all__ = ["BrokenOff", "Product", "catalog_changes", "item_of", "products_of"]
