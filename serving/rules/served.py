"""The desk and the previews of a worker, over what it serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.rules.conflicts import Shop
from recsys.rules.rule import Rule
from serving.clock import Clock
from serving.recommender import SnapshotHolder, StateReader
from serving.releases import no_release
from serving.rules.preview import Preview, previewed
from serving.rules.shop import shop_of
from serving.settings import ServingSettings
from serving.state.keys import StateKeys


@dataclass(frozen=True, slots=True)
class Served:
    """What a worker serves at this moment, as merchandisers look at it."""

    settings: ServingSettings
    holder: SnapshotHolder
    store: StateReader
    keys: StateKeys
    clock: Clock

    def shop(self) -> Shop:
        """Return what rules are held against."""
        return shop_of(self.settings, self.holder.snapshot, self.clock())

    def previewing(self, rules: Sequence[Rule]) -> Preview:
        """Return a preview of rules beside those in force. Raises NotReady."""
        snapshot = self.holder.snapshot
        if snapshot is None:
            raise no_release()
        return previewed(snapshot, rules, self.store, self.keys)
