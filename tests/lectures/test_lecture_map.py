"""The map of the lectures is complete, names what is there, and is what the README has."""

import pytest

from lectures import lecture_map
from lectures.lecture_map import ROWS, Row


def test_every_row_has_its_function_and_test():
    assert lecture_map.problems() == []


def test_the_readme_has_the_table():
    """If not: python tests/lectures/lecture_map.py"""
    readme = lecture_map.README.read_text(encoding="utf-8")
    assert lecture_map.written(readme) == readme


def test_every_test_of_a_row_is_in_the_map():
    """A misnamed one, test_row_46_… or so, would stand nowhere."""
    tests = {
        name
        for path in lecture_map.Path(__file__).parent.glob("test_*.py")
        for name in lecture_map.functions_in(path)
        if name.startswith("test_row")
    }
    mapped = {test.partition("::")[2] for row in ROWS for test in lecture_map.tests_of(row)}
    assert sorted(tests - mapped) == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (ROWS[0]._replace(functions=()), "row 1 (perceptron): no function shows it"),
        (Row(0, "nothing", "A", ("funcnn.nn",)), "row 0 (nothing): no test shows it"),
        (ROWS[0]._replace(functions=("funcnn.nn.no",)), "row 1 (perceptron): funcnn.nn.no is not"),
        (ROWS[0]._replace(functions=("nowhere.f",)), "row 1 (perceptron): nowhere.f is not there"),
        (ROWS[0]._replace(examples=("no.py",)), "row 1 (perceptron): examples/no.py is not there"),
        (
            ROWS[0]._replace(tests=("tests/lectures/test_units.py::test_no",)),
            "row 1 (perceptron): tests/lectures/test_units.py::test_no is not there",
        ),
        (
            ROWS[44]._replace(functions=(), missing=""),
            "row 45 (on an accelerator: the same code, compiled): say what is missing",
        ),
    ],
)
def test_what_is_missing_is_found(row, problem):
    found = lecture_map.problems((row,))
    assert [p for p in found if p.startswith(problem)]
