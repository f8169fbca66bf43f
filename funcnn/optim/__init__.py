"""Optimizers: the lectures' update lines, lifted over pytrees; optax's protocol."""

from . import schedules
from .adadelta import AdadeltaState, adadelta
from .adagrad import AdaGradState, adagrad
from .adam import AdamState, adam
from .adamw import adamw
from .amsgrad import AMSGradState, amsgrad
from .apply_updates import apply_updates
from .chain import chain
from .clip import clip, clip_by_global_norm, clip_by_norm
from .ema import EmaState, ParamsEmaState, ema, params_ema
from .lamb import lamb
from .lift import lift
from .lion import LionState, lion
from .lookahead import LookaheadState, lookahead
from .masked import MaskedState, PartitionState, by_path, freeze, masked, partition, set_to_zero
from .masks import Mask
from .momentum import momentum
from .multi_steps import MultiStepsState, multi_steps
from .muon import MuonState, muon, orthogonalized
from .nadam import nadam
from .nesterov import look_ahead, nesterov
from .norms import global_norm
from .random_search import random_search
from .rmsprop import RMSPropState, rmsprop
from .scale import scale
from .schedule_free import ScheduleFreeState, schedule_free, schedule_free_eval_params
from .schedules import (
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    in_epochs,
    inverse_sqrt_schedule,
    join_schedules,
    linear_onecycle_schedule,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    sgdr_schedule,
    step_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
    warmup_inverse_sqrt_schedule,
)
from .sgd import SGDState, sgd
from .skip_not_finite import SkipNotFiniteState, skip_not_finite
from .transformation import EmptyState, GradientTransformation, PyTree, Schedule
from .weight_decay import AddDecayedWeightsState, add_decayed_weights

__all__ = [
    "AMSGradState",
    "AdaGradState",
    "AdadeltaState",
    "AdamState",
    "AddDecayedWeightsState",
    "EmaState",
    "EmptyState",
    "GradientTransformation",
    "LionState",
    "LookaheadState",
    "Mask",
    "MaskedState",
    "MultiStepsState",
    "MuonState",
    "ParamsEmaState",
    "PartitionState",
    "PyTree",
    "RMSPropState",
    "SGDState",
    "Schedule",
    "ScheduleFreeState",
    "SkipNotFiniteState",
    "adadelta",
    "adagrad",
    "adam",
    "adamw",
    "add_decayed_weights",
    "amsgrad",
    "apply_updates",
    "by_path",
    "chain",
    "clip",
    "clip_by_global_norm",
    "clip_by_norm",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "ema",
    "exponential_decay",
    "freeze",
    "global_norm",
    "in_epochs",
    "inverse_sqrt_schedule",
    "join_schedules",
    "lamb",
    "lift",
    "linear_onecycle_schedule",
    "linear_schedule",
    "lion",
    "look_ahead",
    "lookahead",
    "masked",
    "momentum",
    "multi_steps",
    "muon",
    "nadam",
    "nesterov",
    "orthogonalized",
    "params_ema",
    "partition",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "random_search",
    "rmsprop",
    "scale",
    "schedule_free",
    "schedule_free_eval_params",
    "schedules",
    "set_to_zero",
    "sgd",
    "sgdr_schedule",
    "skip_not_finite",
    "step_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "warmup_inverse_sqrt_schedule",
]
