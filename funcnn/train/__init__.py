"""Training: the compiled step and epoch, and `fit`.

loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
state = train.init(jax.random.key(0), model, optimizer, x)
state, history = train.fit(loss, optimizer, state, (x, y), epochs=20, batch_size=32)
"""

from funcnn.train.accumulation import accumulated
from funcnn.train.augmented import augmented, augmented_batches
from funcnn.train.checkpoints import Checkpoints, DamagedCheckpoint
from funcnn.train.epoch import make_epoch, make_eval
from funcnn.train.failures import NonFinite, TrainingFailed
from funcnn.train.fit import fit
from funcnn.train.history import read_history
from funcnn.train.lr_find import RangeTest, lr_find
from funcnn.train.objective import Loss, supervised
from funcnn.train.parameters_file import load_params, save_params
from funcnn.train.partition import (
    Partition,
    batch_sharding,
    fully_sharded,
    put_batch,
    state_sharding,
)
from funcnn.train.state import TrainState, init
from funcnn.train.step import make_step
from funcnn.train.stopping import early_stopping, highest, lowest, reached
from funcnn.train.sweep import best_run, one_run, sweep

__all__ = [
    "Checkpoints",
    "DamagedCheckpoint",
    "Loss",
    "NonFinite",
    "Partition",
    "RangeTest",
    "TrainState",
    "TrainingFailed",
    "accumulated",
    "augmented",
    "augmented_batches",
    "batch_sharding",
    "best_run",
    "early_stopping",
    "fit",
    "fully_sharded",
    "highest",
    "init",
    "load_params",
    "lowest",
    "lr_find",
    "make_epoch",
    "make_eval",
    "make_step",
    "one_run",
    "put_batch",
    "reached",
    "read_history",
    "save_params",
    "state_sharding",
    "supervised",
    "sweep",
]
