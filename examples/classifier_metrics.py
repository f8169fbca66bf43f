"""How good a classifier is: confusion matrix, precision, recall, F1, and the ROC curve.

    python examples/classifier_metrics.py

Row 41 of the lectures, deck E, on real data: 569 tumours of the breast, 212 of them malignant,
each described by 30 measurements of cell nuclei (Wolberg, Street and Mangasarian, 1995; they come
with scikit-learn). Logistic regression learns them from all measurements, from one good one, and
from a poor one. "Positive" is malignant. Needs: pip install 'funcnn[examples]'
"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

from funcnn import data, losses, metrics, nn, optim, train, viz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES = ("benign", "malignant")
THRESHOLDS = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
MEASURES = ("accuracy", "error_rate", "precision", "recall", "specificity", "f1")


class Tumours(NamedTuple):
    """Measurements and diagnoses.

    Attributes:
      x: (n, features), standardized by the training set.
      y: (n,), 1 for malignant.
    """

    x: np.ndarray
    y: np.ndarray


def main() -> None:
    args = arguments()
    if not args.no_picture:
        import picture_file  # here, so that nothing is trained in vain where matplotlib is missing

    learn, test, names = tumours(args.seed)
    print(f"{len(learn.y)} tumours to learn from, {len(test.y)} to test on, ", end="")
    print(f"{int(test.y.sum())} of them malignant (seed {args.seed})\n")
    chosen = {f"all {len(names)} measurements": list(range(len(names)))}
    chosen |= {name: [names.index(name)] for name in ("mean texture", "mean smoothness")}
    found = {
        name: probabilities(learn, test, columns, args.epochs, args.seed)
        for name, columns in chosen.items()
    }
    first = next(iter(found))
    print(f"from {first}, malignant where the probability is at least the threshold\n")
    print(thresholds_table(found[first], test.y))
    print("\nwith threshold ½, and of all thresholds\n")
    print(models_table(found, test.y))
    if not args.no_picture:
        print()
        picture_file.save(picture(found, test.y), args.out / "classifier_metrics.png")


def tumours(seed: int) -> tuple[Tumours, Tumours, list[str]]:
    """To learn from, to test on, and the names of the measurements."""
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError as error:
        raise ImportError("the data comes with scikit-learn: pip install 'funcnn[data]'") from error
    raw = load_breast_cancer()
    # there, 0 stands for malignant
    pairs = raw.data.astype(np.float32), (1 - raw.target).astype(np.int32)
    parts = data.split(pairs, validation=0, test=0.5, seed=seed)
    scale = data.normalization(parts.train[0])
    learn, test = (Tumours(np.asarray(scale.apply(x)), y) for x, y in (parts.train, parts.test))
    return learn, test, [str(name) for name in raw.feature_names]


def probabilities(
    learn: Tumours, test: Tumours, columns: list[int], epochs: int, seed: int
) -> np.ndarray:
    """Of malignant, for each tumour of the test, (n,): logistic regression on these columns."""
    model, optimizer = nn.models.logistic_regression(), optim.sgd(0.1)
    loss = train.supervised(model, losses.sigmoid_binary_cross_entropy)
    x = learn.x[:, columns]
    state = train.init(jax.random.key(seed), model, optimizer, x)
    state, _ = train.fit(
        loss, optimizer, state, (x, learn.y), epochs=epochs, batch_size=32, progress=False
    )
    return np.asarray(jax.nn.sigmoid(model(state.params, jnp.asarray(test.x[:, columns]))))


def confusion(p: np.ndarray, y: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """[[TN, FP], [FN, TP]], of malignant where p is at least the threshold."""
    return np.asarray(_confusion(p, y, threshold))


@jax.jit
def _confusion(p: jax.Array, y: jax.Array, threshold: jax.Array) -> jax.Array:
    return metrics.confusion_matrix((p >= threshold).astype(jnp.int32), y, num_classes=2)


def measured(matrix: np.ndarray) -> dict[str, float]:
    """The metrics of a confusion matrix, by name."""
    found = _measured(matrix)  # sorted by name, as a compiled program returns a dict
    return {name: float(found[name]) for name in MEASURES}


@jax.jit
def _measured(matrix: jax.Array) -> dict[str, jax.Array]:
    return {name: getattr(metrics.from_confusion, name)(matrix) for name in MEASURES}


def thresholds_table(p: np.ndarray, y: np.ndarray) -> str:
    rows = []
    for threshold in THRESHOLDS:
        matrix = confusion(p, y, threshold)
        (tn, fp), (fn, tp) = matrix.astype(int).tolist()
        values = measured(matrix).values()
        rows.append([f"{threshold:g}", *map(str, (tp, fp, fn, tn))] + [f"{v:.4f}" for v in values])
    header = ["threshold", "TP", "FP", "FN", "TN", *(name.replace("_", " ") for name in MEASURES)]
    return tables.table(header, rows)


def models_table(found: Mapping[str, np.ndarray], y: np.ndarray) -> str:
    rows = []
    for name, p in found.items():
        values = measured(confusion(p, y))
        rows.append([name, *(f"{v:.4f}" for v in values.values()), f"{area(p, y):.4f}"])
    header = [name.replace("_", " ") for name in MEASURES]
    return tables.table(["learned from", *header, "area under ROC"], rows)


def area(p: np.ndarray, y: np.ndarray) -> float:
    return float(metrics.roc_auc(jnp.asarray(p), jnp.asarray(y)))


def picture(found: Mapping[str, np.ndarray], y: np.ndarray) -> "Figure":
    import picture_page

    from funcnn.viz import style

    (first, p), *_ = found.items()
    title = f"Tumours, malignant or benign: logistic regression from {first}"
    mosaic = [["confusion", "roc"], ["threshold", "roc"]]
    figure, axes = picture_page.page(title, 6.4, mosaic, width_ratios=[1, 1.35])
    viz.confusion_matrix(confusion(p, y), axes["confusion"], names=CLASSES)
    ax, thresholds = axes["threshold"], np.linspace(0.01, 0.99, 99)
    curves = jax.vmap(_measured)(np.array([confusion(p, y, t) for t in thresholds]))
    for look, name in zip(style.looks(), ("precision", "recall", "f1"), strict=False):
        ax.plot(thresholds, curves[name], look.dashes, color=look.color, lw=2, label=name)
    ax.axvline(0.5, color=style.GRAY, lw=1)
    ax.set(xlim=(0, 1), ylim=(None, 1.01))
    style.plot_style(ax, legend=True, loc=(0.56, 0.05))
    viz.label(ax, "threshold")
    for name, p in found.items():
        fpr, tpr, _ = metrics.roc_curve(jnp.asarray(p), jnp.asarray(y))
        viz.roc(fpr, tpr, axes["roc"], area=area(p, y), label=name)
    viz.label(axes["roc"], title="ROC: all thresholds")
    return figure


def arguments() -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="20 epochs, for a first look")
    args = parser.parse_args()
    args.epochs = 20 if args.quick else 100
    return args


if __name__ == "__main__":
    main()
