"""The computational graph of a function: as data, as a table, as a drawing, as a page.

>>> from funcnn import graph
>>> graph.trace(lambda x, y, z: (x + y) * z)(-2.0, 5.0, -4.0)["x"].gradient.item()
-4.0
"""

from funcnn.graph.graph import Edge, Graph, Group, Node, Result
from funcnn.graph.trace import trace

__all__ = ["Edge", "Graph", "Group", "Node", "Result", "trace"]
