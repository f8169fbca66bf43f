"""Learns to write like a text, character by character, with a recurrent network.

    python examples/char_rnn.py                                  its own source
    python examples/char_rnn.py --text FILE --features 256       any other text

The text is cut into parallel streams, and these into short pieces: gradients go back to the
beginning of a piece, the state of the network goes on to the next (truncated backpropagation
through time). The last tenth of the text is held out; the network that reads it best writes the
sample at the end. A loss is in bits per character: what a compressor with these probabilities
would need.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables

import funcnn
from funcnn import losses, nn, optim

CELLS: Mapping[str, Callable[..., nn.Layer]] = {"rnn": nn.rnn, "lstm": nn.lstm, "gru": nn.gru}
LARGEST_VALIDATION = 20_000  # characters


class Text(NamedTuple):
    """A text as numbers.

    Attributes:
      characters: the different ones, sorted; a number is a place in this string.
      train, validation: numbers, (n,), the beginning of the text and its end.
    """

    characters: str
    train: np.ndarray
    validation: np.ndarray


class Model(NamedTuple):
    """Logits of the next character, and the carry to go on with.

    Attributes:
      init: `init(key) -> params`.
      apply: `apply(params, carry, ids) -> (carry, logits)`, from ids (streams, time) to logits
        (streams, time, characters).
      start: `start(streams) -> carry`, all zeros.
    """

    init: Callable[[jax.Array], Any]
    apply: Callable[[Any, Any, jax.Array], tuple[Any, jax.Array]]
    start: Callable[[int], Any]


def main() -> None:
    args, text = arguments()
    model = network(CELLS[args.cell], args.features, len(text.characters))
    key, init_key = jax.random.split(jax.random.key(args.seed))
    params = model.init(init_key)
    pieces = in_pieces(text.train, args.streams, args.length)
    print(
        f"{args.text.name}: {len(text.train):,} characters to learn from, {len(text.validation):,} "
        f"held out, {len(text.characters)} different ones"
    )
    print(
        f"{args.cell} of {args.features} features, {nn.count_parameters(params):,} parameters; "
        f"{args.streams} streams in pieces of {args.length}, {len(pieces)} steps an epoch\n"
    )
    best, history = trained(model, params, pieces, text.validation, args.epochs, args.learning_rate)
    print(tables.by_epoch(history))
    if not np.isfinite(history["held_out"]).any():
        sys.exit("\nthe loss is not finite: try a lower --learning-rate")
    print("\nbits per character of the text held out\n")
    print(comparison(text, history["held_out"]))
    first = int(text.train[0])
    written = write(model, best, key, first, args.sample, args.temperature)
    print(f"\nwritten at a temperature of {args.temperature:g}:\n")
    print(text.characters[first] + "".join(text.characters[i] for i in written))


def numbered(text: str) -> Text:
    """The text as numbers, its last tenth held out."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    characters, ids = np.unique(codes, return_inverse=True)
    ids = ids.astype(np.int32)
    cut = len(ids) - min(len(ids) // 10, LARGEST_VALIDATION)
    return Text("".join(map(chr, characters)), ids[:cut], ids[cut:])


def in_pieces(ids: np.ndarray, streams: int, length: int) -> np.ndarray:
    """(pieces, streams, length + 1): a piece's last number is the first of the next.

    Stream after stream is a stretch of the text; what is left at its end is not used.
    """
    pieces = (len(ids) - 1) // (streams * length)
    stretch = pieces * length
    place = (
        np.arange(streams)[:, None] * stretch
        + np.arange(pieces)[:, None, None] * length
        + np.arange(length + 1)
    )
    return ids[place]


def network(cell: Callable[..., nn.Layer], features: int, characters: int) -> Model:
    embedding = nn.embedding(characters, features)
    recurrent = cell(features, returns="outputs and carry")
    head = nn.dense(characters)

    def init(key):
        keys = jax.random.split(key, 3)
        x = jax.ShapeDtypeStruct((1, 1, features), jnp.float32)
        ids = jax.ShapeDtypeStruct((1, 1), jnp.int32)
        inputs = {"embedding": (embedding, ids), "recurrent": (recurrent, x), "head": (head, x)}
        return {
            name: layer.init(k, x)[0]
            for (name, (layer, x)), k in zip(inputs.items(), keys, strict=True)
        }

    def apply(params, carry, ids):
        x = embedding(params["embedding"], ids)
        h, carry = recurrent(params["recurrent"], (x, None, carry))
        return carry, head(params["head"], h)

    def start(streams):
        x = jnp.zeros((streams, 1, features))
        params, _ = jax.eval_shape(recurrent.init, jax.random.key(0), x)
        _, carry = jax.eval_shape(recurrent, params, x)
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), carry)

    return Model(init, apply, start)


def bits(model: Model, params: Any, carry: Any, piece: jax.Array) -> tuple[jax.Array, Any]:
    """The mean over a piece, and the carry at its end."""
    carry, logits = model.apply(params, carry, piece[:, :-1])
    loss = losses.softmax_cross_entropy_with_integer_labels(logits, piece[:, 1:])
    return loss.mean() / jnp.log(2), carry


def trained(
    model: Model,
    params: Any,
    pieces: np.ndarray,
    validation: np.ndarray,
    epochs: int,
    rate: float,
) -> tuple[Any, dict[str, np.ndarray]]:
    """The params that read the validation text best, and the losses of each epoch."""
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adam(rate))
    gradient = funcnn.value_and_grad(
        lambda params, carry, piece: bits(model, params, carry, piece), has_aux=True
    )

    @jax.jit
    def epoch(params, state):
        def step(all_of_it, piece):
            params, state, carry = all_of_it
            (loss, carry), slope = gradient(params, carry, piece)
            updates, state = optimizer.update(slope, state, params)
            return (optim.apply_updates(params, updates), state, carry), loss

        start = params, state, model.start(pieces.shape[1])
        (params, state, _), curve = jax.lax.scan(step, start, jnp.asarray(pieces))
        held_out, _ = bits(model, params, model.start(1), jnp.asarray(validation)[None])
        return params, state, curve.mean(), held_out

    state, best, lowest, rows = optimizer.init(params), params, np.inf, []
    for _ in range(epochs):
        params, state, *measured = epoch(params, state)
        rows.append([float(value) for value in measured])
        if rows[-1][1] < lowest:
            best, lowest = params, rows[-1][1]
    train, held_out = np.array(rows).T
    number = np.arange(1, epochs + 1)
    return best, {"epoch": number, "bits_per_character": train, "held_out": held_out}


def write(
    model: Model, params: Any, key: jax.Array, first: int, count: int, temperature: float
) -> np.ndarray:
    """The numbers of `count` characters after the first, each drawn from softmax(logits / T)."""

    @jax.jit
    def run(key):
        def step(state, key):
            carry, i = state
            carry, logits = model.apply(params, carry, i[None, None])
            i = jax.random.categorical(key, logits[0, 0] / temperature)
            return (carry, i), i

        return jax.lax.scan(step, (model.start(1), jnp.int32(first)), jax.random.split(key, count))

    _, written = run(key)
    return np.asarray(written)


def comparison(text: Text, held_out: np.ndarray) -> str:
    """What the text held out takes without a network, and with that of the best epoch."""
    size = len(text.characters)
    alone = np.ones(size)  # each once more than it is there, so that none is impossible
    np.add.at(alone, text.train, 1)
    pairs = np.ones((size, size))
    np.add.at(pairs, (text.train[:-1], text.train[1:]), 1)
    before, after = text.validation[:-1], text.validation[1:]
    rows = {
        "all characters alike": np.log2(size),
        "how often each is there": -np.log2(alone[after] / alone.sum()).mean(),
        "how often it is after the one before": -np.log2(
            (pairs / pairs.sum(1, keepdims=True))[before, after]
        ).mean(),
        f"the network after epoch {np.nanargmin(held_out) + 1}": np.nanmin(held_out),
    }
    return tables.table(["by", "bits"], [[name, f"{value:.3f}"] for name, value in rows.items()])


def arguments() -> tuple[argparse.Namespace, Text]:
    """The options, and the text that they name."""
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--text", type=Path, default=Path(__file__), metavar="FILE", help="default: its own source"
    )
    parser.add_argument("--cell", choices=CELLS, default="gru", help="default: %(default)s")
    for option, usual, meaning in (
        ("--features", 128, "of the network's state"),
        ("--streams", 16, "read side by side"),
        ("--length", 32, "characters in a piece, through which gradients go back"),
        ("--sample", 400, "characters to write"),
    ):
        parser.add_argument(
            option,
            type=command_line.whole_number(1),
            default=usual,
            metavar="N",
            help=f"{meaning} (default: %(default)s)",
        )
    parser.add_argument(
        "--epochs",
        type=command_line.whole_number(1),
        metavar="N",
        help="how often to go through the text (default: 30)",
    )
    for option, usual, meaning in (
        ("--learning-rate", 0.005, "of Adam"),
        ("--temperature", 0.7, "at which to write: the lower, the surer"),
    ):
        parser.add_argument(
            option,
            type=command_line.positive,
            default=usual,
            metavar="X",
            help=f"{meaning} (default: %(default)s)",
        )
    parser.add_argument("--quick", action="store_true", help="10 epochs, for a first look")
    args = parser.parse_args()
    args.epochs = args.epochs or (10 if args.quick else 30)
    try:
        text = args.text.expanduser().read_text(encoding="utf-8")
    except OSError as error:
        parser.error(f"argument --text: {error}")
    except UnicodeDecodeError:
        parser.error(f"argument --text: {args.text}: expected text in UTF-8")
    result = numbered(text)
    if len(result.validation) < 2 or len(result.train) <= args.streams * args.length:
        parser.error(
            f"argument --text: {args.text} has {len(text)} characters: expected more than "
            f"{max(20, args.streams * args.length * 10 // 9)} for --streams {args.streams} and "
            f"--length {args.length}"
        )
    return args, result


if __name__ == "__main__":
    main()
