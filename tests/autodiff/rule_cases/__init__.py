"""The cases of all rules, in files by kind as the rules are. case.py says what a case is."""

from . import contractions, elementwise, indexing, programs, reductions, shape
from .case import CASES

__all__ = ["CASES", "contractions", "elementwise", "indexing", "programs", "reductions", "shape"]
