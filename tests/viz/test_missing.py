"""Without matplotlib: funcnn.viz is imported, and each function says what to install."""

import inspect
import json
import subprocess
import sys

from funcnn import viz

PROGRAM = """
import json, sys

asked = []

class Uninstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "matplotlib":
            asked.append(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Uninstalled())
import numpy as np
from funcnn import train, viz
from funcnn.debug import FlowRow, GradientFlow

asked_by_imports = list(asked)
row = FlowRow((0,), "dense(2)", (1, 2), 1.0, 1.0, 0.0, None, None, None, None, None)
found = train.RangeTest(np.array([0.1, 1.0]), np.ones(2), np.ones(2), 2, 0.1)
x, p = np.zeros((2, 3, 3)), np.eye(2)
calls = {
    "activation": lambda: viz.activation(abs),
    "confusion_matrix": lambda: viz.confusion_matrix(p),
    "decision_boundary": lambda: viz.decision_boundary(lambda q: 0 * q[:, 0], limits=(0, 1)),
    "feature_maps": lambda: viz.feature_maps(np.ones((3, 3, 2))),
    "figure": lambda: viz.figure(),
    "gradient_flow": lambda: viz.gradient_flow(GradientFlow((row,), (), 1.0)),
    "hidden_boundaries": lambda: viz.hidden_boundaries(lambda q: q, limits=(0, 1)),
    "history": lambda: viz.history({"loss": [1.0]}),
    "images": lambda: viz.images(x),
    "mistakes": lambda: viz.mistakes(x, p, [0, 1]),
    "network": lambda: viz.network((2, 1)),
    "paths": lambda: viz.paths(lambda w: w[0], {}, limits=(0, 1)),
    "predictions": lambda: viz.predictions(x, p, [0, 1]),
    "range_test": lambda: viz.range_test(found),
    "receptive_field": lambda: viz.receptive_field([3]),
    "roc": lambda: viz.roc([0, 1], [0, 1]),
    "schedules": lambda: viz.schedules({"one": lambda t: 1.0}, 2),
    "templates": lambda: viz.templates(np.ones((1, 4)), (2, 2)),
    "towers": lambda: viz.towers([0, 1], [0, 1], [[0, 1]]),
}
said = {}
for name, call in calls.items():
    try:
        call()
        said[name] = "nothing"
    except ImportError as error:
        said[name] = [str(error), error.__cause__.name.partition(".")[0]]
print(json.dumps([asked_by_imports, said]))
"""


def test_every_function_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    asked_by_imports, said = json.loads(done.stdout)
    assert asked_by_imports == []  # matplotlib is imported when a function is called
    advice = "pictures need matplotlib: pip install 'funcnn[plots]'"
    assert {name: a for name, a in said.items() if a != [advice, "matplotlib"]} == {}
    # `label` is given Axes, which are matplotlib's already
    functions = {name for name, value in vars(viz).items() if inspect.isfunction(value)}
    assert set(said) == functions - {"label"}
