"""The test of the tests, damage/, in small: the whole takes hours, and is run by hand."""

import inspect
import pkgutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .damage.mechanism import DAMAGES


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_to_be_replaced_is_there(name):
    function = pkgutil.resolve_name(f"funcnn.autodiff.{name}")
    source = textwrap.dedent(inspect.getsource(function))
    for old, _, *tests in DAMAGES[name].values():
        assert source.count(old) == 1, old
        assert tests


def test_every_damage_of_a_rule_turns_the_suite_red():
    command = [sys.executable, "-m", "autodiff.damage", "--only", "mul"]
    folder = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, count = done.stdout.partition("damages: ")
    assert int(count.split(";")[0]) > 20
    assert "SURVIVED" not in done.stdout
