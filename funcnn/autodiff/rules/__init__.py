"""One rule a primitive, in files by kind. table.py says how a rule is written."""

from funcnn.autodiff.rules import contractions, elementwise, indexing, reductions, shape

__all__ = ["contractions", "elementwise", "indexing", "reductions", "shape"]
