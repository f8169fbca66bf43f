"""Pictures: functions that take data and, if wished, matplotlib's Axes, and return the Axes.

    from funcnn import viz

    ax = viz.history(history)                       # a new figure, without a display
    ax.figure.savefig("history.png")

    figure, (left, right) = viz.figure(1, 2)        # pictures side by side
    viz.decision_boundary(lambda p: jax.nn.sigmoid(model(params, p)), x, y, left)
    viz.confusion_matrix(matrix, right)

All share one style: colours that colour-blind readers tell apart, with markers and dashes that tell
them apart in print too. matplotlib (`pip install 'funcnn[plots]'`) is imported when a function is
called. Titles and labels are changed as ever: ``ax.set_title("…")``.
"""

from funcnn.viz.activations import activation as activation
from funcnn.viz.approximation import towers as towers
from funcnn.viz.boundary import decision_boundary as decision_boundary
from funcnn.viz.boundary import hidden_boundaries as hidden_boundaries
from funcnn.viz.classification import confusion_matrix as confusion_matrix
from funcnn.viz.classification import roc as roc
from funcnn.viz.curves import history as history
from funcnn.viz.curves import range_test as range_test
from funcnn.viz.curves import schedules as schedules
from funcnn.viz.flow import gradient_flow as gradient_flow
from funcnn.viz.style import figure as figure
from funcnn.viz.style import label as label
from funcnn.viz.surfaces import paths as paths
from funcnn.viz.tiles import feature_maps as feature_maps
from funcnn.viz.tiles import images as images
from funcnn.viz.tiles import mistakes as mistakes
from funcnn.viz.tiles import predictions as predictions
from funcnn.viz.tiles import templates as templates
from funcnn.viz.units import network as network
from funcnn.viz.windows import receptive_field as receptive_field
