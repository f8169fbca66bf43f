"""Modules of examples/ for the tests that hold them against the decks."""

import importlib
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def example():
    """Imports a file of examples/ by its name, and forgets it and its neighbours at once."""

    def load(name):
        ours = {path.stem for path in EXAMPLES.glob("*.py")}
        sys.path.insert(0, str(EXAMPLES))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(EXAMPLES))
            for module in ours & set(sys.modules):
                del sys.modules[module]

    return load
