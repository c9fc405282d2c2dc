"""Errands: what a read of customers takes along, so that an answer costs one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.state.keys import ListKey
from serving.state.profiles import Known


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be had, and left, beside what is known of customers.

    wanted: where lists are that were answered before.
    kept: lists to be kept for a while, by where; one that is lost is no error.
    """

    wanted: Sequence[ListKey] = ()
    kept: Sequence[tuple[ListKey, bytes]] = ()


NO_ERRAND = Errand()


@dataclass(frozen=True, slots=True)
class Found:
    """What came back.

    known: what may be used of each asker. lists: the bytes of those wanted that are still kept.
    """

    known: Sequence[Known]
    lists: Mapping[ListKey, bytes]
