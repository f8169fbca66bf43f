"""Optimizers: the lectures' update lines, lifted over pytrees; optax's protocol."""

from .adam import AdamState, adam
from .apply_updates import apply_updates
from .chain import chain
from .lift import lift
from .scale import scale
from .sgd import SGDState, sgd
from .transformation import EmptyState, GradientTransformation, PyTree, Schedule

__all__ = [
    "AdamState",
    "EmptyState",
    "GradientTransformation",
    "PyTree",
    "SGDState",
    "Schedule",
    "adam",
    "apply_updates",
    "chain",
    "lift",
    "scale",
    "sgd",
]
