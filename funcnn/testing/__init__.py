"""Tests of derivatives: a second, independent reverse mode to hold a gradient against.

vectors.py makes a function of pytrees one of real vectors, problem.py asks everyone for its
derivative, differences.py measures it, judge.py says who is wrong, report.py says it in words.
"""

from funcnn.testing.check import check_grads
from funcnn.testing.report import Report, WrongGradient

__all__ = ["Report", "WrongGradient", "check_grads"]
