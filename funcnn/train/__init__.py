"""Training: the compiled step and epoch, and `fit`.

loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
state = train.init(jax.random.key(0), model, optimizer, x)
state, history = train.fit(loss, optimizer, state, (x, y), epochs=20, batch_size=32)
"""

from funcnn.train.epoch import make_epoch, make_eval
from funcnn.train.fit import NonFinite, fit
from funcnn.train.objective import Loss, supervised
from funcnn.train.state import TrainState, init
from funcnn.train.step import make_step

__all__ = [
    "Loss",
    "NonFinite",
    "TrainState",
    "fit",
    "init",
    "make_epoch",
    "make_eval",
    "make_step",
    "supervised",
]
