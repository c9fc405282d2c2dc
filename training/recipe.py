"""A recipe: one value for all that the settings leave open and that models are fitted with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from training.fit.content import ContentConfig
from training.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Recipe:
    """One value for each thing that the settings leave open and that models are fitted with."""

    interest_half_life_days: float
    regularization: float
    alpha: float
    popularity_half_life_days: float
    repurchase_half_life_days: float
    rate_exponent: float
    content_regularization: float
    content_exponent: float
    content_length: float
    together_half_life_days: float
    together_smoothing: float
    together_exponent: float
    together_soon: float
    together_alternatives: float
    viewed_smoothing: float
    viewed_exponent: float
    session_decay: float
    session_rarity: float

    @classmethod
    def first_of(cls, settings: TrainingSettings) -> Recipe:
        """Return the first value of every grid: where a search starts."""
        return cls(
            settings.interest.half_life_days[0],
            settings.factors.regularization[0],
            settings.factors.alpha[0],
            settings.popularity.half_life_days[0],
            settings.repurchase.half_life_days[0],
            settings.repurchase.rate_exponents[0],
            settings.content.regularization[0],
            settings.content.exponents[0],
            settings.content.lengths[0],
            settings.together.half_life_days[0],
            settings.together.smoothing[0],
            settings.together.exponents[0],
            settings.together.soon[0],
            settings.together.alternatives[0],
            settings.viewed.smoothing[0],
            settings.viewed.exponents[0],
            settings.sessions.decays[0],
            settings.sessions.rarities[0],
        )

    def with_content(self, config: ContentConfig) -> Recipe:
        """Return the recipe with this content model."""
        return replace(
            self,
            content_regularization=config.regularization,
            content_exponent=config.exponent,
            content_length=config.length,
        )

    def content(self) -> ContentConfig:
        """Return how its content model is fitted."""
        return ContentConfig(
            self.content_regularization, self.content_exponent, self.content_length
        )

    def with_value(self, name: str, value: float) -> Recipe:
        """Return the recipe with another value of this name."""
        return Recipe(**{**self.numbers(), name: value})

    def numbers(self) -> dict[str, float]:
        """Return the values by name."""
        return {name: float(value) for name, value in asdict(self).items()}
