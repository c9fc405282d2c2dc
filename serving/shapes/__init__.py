"""Events in the shapes of Google Analytics 4 and Segment, as events of ours."""

from __future__ import annotations

from serving.shapes.ga4 import events_of_ga4, shaped_ga4
from serving.shapes.segment import events_of_segment, shaped_segment
from serving.shapes.shaped import Shaped

__all__ = ["Shaped", "events_of_ga4", "events_of_segment", "shaped_ga4", "shaped_segment"]
