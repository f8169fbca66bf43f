"""Trains networks that are wired at random, node by node, on 1,797 real handwritten digits.

    python examples/random_wiring.py

A random graph of Watts and Strogatz, or of Erdős and Rényi, becomes a network: each edge points
from the lower number to the higher; a node takes the weighted sum of what comes in, and gives it
through ReLU, a 3 by 3 convolution and batch normalization to all its edges (Xie et al., "Exploring
Randomly Wired Neural Networks for Image Recognition", 2019). A chain of as many nodes is there to
compare. The digits come with scikit-learn. Needs: pip install 'funcnn[examples]'
"""

import argparse

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

from funcnn import data, losses, metrics, nn, optim, train

Edge = tuple[int, int]

# --- random graphs, as lists of edges (i, j) with i < j


def watts_strogatz(
    rng: np.random.Generator, nodes: int, near: int = 4, rewired: float = 0.75
) -> list[Edge]:
    """A ring in which each node knows its `near` next ones, and some of the edges lead elsewhere.

    Each edge is led, with probability `rewired`, from its node to another one that this node does
    not know yet. Source: Watts and Strogatz, "Collective dynamics of small-world networks", 1998.
    """
    edges = {_edge(i, (i + d) % nodes) for d in range(1, near // 2 + 1) for i in range(nodes)}
    for d in range(1, near // 2 + 1):
        for i in range(nodes):
            strangers = [j for j in range(nodes) if j != i and _edge(i, j) not in edges]
            old = _edge(i, (i + d) % nodes)
            if strangers and old in edges and rng.random() < rewired:
                edges.remove(old)
                edges.add(_edge(i, int(rng.choice(strangers))))
    return sorted(edges)


def erdos_renyi(rng: np.random.Generator, nodes: int, probability: float = 0.4) -> list[Edge]:
    """Each two nodes are joined with this probability. Source: Erdős and Rényi, 1959."""
    pairs = [(i, j) for i in range(nodes) for j in range(i + 1, nodes)]
    return [pair for pair in pairs if rng.random() < probability]


def chain(rng: np.random.Generator, nodes: int) -> list[Edge]:
    """One node after another: an ordinary network of layers."""
    return [(i, i + 1) for i in range(nodes - 1)]


def _edge(i: int, j: int) -> Edge:
    return min(i, j), max(i, j)


WIRINGS = {"Watts-Strogatz": watts_strogatz, "Erdős-Rényi": erdos_renyi, "chain": chain}


# --- from a graph to a network


def weighted_sum() -> nn.Layer:
    """Σ σ(wᵢ) xᵢ over a tuple of arrays, the weights learned."""

    def function(weights, x):
        return sum(w * each for w, each in zip(jax.nn.sigmoid(weights), x, strict=True))

    return nn.stateless(lambda key, x: jnp.zeros(len(x)), function, "weighted_sum")


def network(nodes: int, edges: list[Edge], channels: int) -> nn.Layer:
    """The nodes between a first convolution and the mean of those nodes that no other takes."""
    names = [f"node_{i}" for i in range(nodes)]
    takes = {names[j]: [names[i] for i, k in edges if k == j] or ["stem"] for j in range(nodes)}
    ends = [names[i] for i in range(nodes) if i not in {i for i, _ in edges}]

    def convolution() -> list[nn.Layer]:
        return [nn.conv(channels, (3, 3), use_bias=False), nn.batch_norm(momentum=0.9)]

    graph = {}
    for name, inputs in takes.items():
        first = [weighted_sum()] if len(inputs) > 1 else []
        graph[name] = (nn.serial(*first, jax.nn.relu, *convolution()), *inputs)
    return nn.dag(
        "image",
        stem=(nn.serial(*convolution()), "image"),
        **graph,
        mean=(lambda *ends: sum(ends) / len(ends), *ends),
        logits=(nn.serial(jax.nn.relu, nn.global_avg_pool, nn.dense(10)), "mean"),
    )


def depth(nodes: int, edges: list[Edge]) -> int:
    """The number of nodes on the longest way through."""
    longest = [1] * nodes
    for i, j in sorted(edges, key=lambda edge: edge[1]):
        longest[j] = max(longest[j], longest[i] + 1)
    return max(longest)


def main() -> None:
    args = arguments()
    splits = data.digits()
    print("digits: " + ", ".join(f"{len(y):,} {part}" for part, (_, y) in splits._asdict().items()))
    print(f"{args.nodes} nodes of {args.channels} channels, {args.epochs} epochs\n")

    rows = []
    for name, wire in list(WIRINGS.items())[: args.wirings]:
        edges = wire(np.random.default_rng(args.seed), args.nodes)
        print(f"{name}: " + ", ".join(f"{i}→{j}" for i, j in edges))
        model = network(args.nodes, edges, args.channels)
        accuracy, seconds = trained(model, splits, args)
        parameters = nn.summary(model, splits.test[0][:1]).parameters
        sizes = len(edges), depth(args.nodes, edges), parameters
        rows.append([name, *(f"{n:,}" for n in sizes), f"{accuracy:.2%}", f"{seconds:.1f}"])
    header = ["wiring", "edges", "depth", "parameters", "test accuracy", "seconds"]
    print(f"\n{tables.table(header, rows)}")


def trained(model: nn.Layer, splits, args: argparse.Namespace) -> tuple[float, float]:
    """The accuracy on the test digits after training, and how long that took."""
    loss = train.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": metrics.accuracy},
    )
    optimizer = optim.adam(3e-3)
    state = train.init(jax.random.key(args.seed), model, optimizer, splits.test[0])
    state, history = train.fit(
        loss,
        optimizer,
        state,
        splits.train,
        epochs=args.epochs,
        batch_size=48,
        drop_remainder=True,  # 1,297 is 27 batches and one digit
        progress=False,
    )
    measured = train.make_eval(loss, batch_size=300)(state.params, state.state, splits.test)
    return float(measured["accuracy"]), float(history["seconds"].sum())


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--nodes",
        type=command_line.whole_number(3),
        metavar="N",
        help="of each graph (default: 12, with --quick 6)",
    )
    parser.add_argument("--quick", action="store_true", help="two small networks")
    args = parser.parse_args()
    args.nodes = args.nodes or (6 if args.quick else 12)
    args.channels, args.epochs, args.wirings = (8, 4, 2) if args.quick else (16, 10, None)
    return args


if __name__ == "__main__":
    main()
