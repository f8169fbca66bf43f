"""Layers: pairs of pure functions, and the pure functions under them.

    model = nn.serial(nn.flatten, nn.dense(30), jax.nn.sigmoid, nn.dense(10))
    params, state = model.init(jax.random.key(0), x)     # x: an array or a jax.ShapeDtypeStruct
    logits = model(params, x)

`nn.functional.dense` is the function of arrays under the layer `nn.dense`, and so on for each layer
with parameters. Initializers are JAX's (`nn.initializers` is `jax.nn.initializers`), and so are the
activations, `jax.nn.relu` and its kin.
"""

from jax.nn import initializers as initializers

from funcnn.nn import functional as functional
from funcnn.nn.combinators import intermediates as intermediates
from funcnn.nn.combinators import serial as serial
from funcnn.nn.layer import Layer as Layer
from funcnn.nn.layer import as_layer as as_layer
from funcnn.nn.layer import stateless as stateless
from funcnn.nn.linear import dense as dense
from funcnn.nn.parameters import count_parameters as count_parameters
from funcnn.nn.reshaping import flatten as flatten
