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
from funcnn.nn import models as models
from funcnn.nn.activations import maxout as maxout
from funcnn.nn.activations import perceptron as perceptron
from funcnn.nn.attention import multi_head_attention as multi_head_attention
from funcnn.nn.combinators import add as add
from funcnn.nn.combinators import branch as branch
from funcnn.nn.combinators import concatenate as concatenate
from funcnn.nn.combinators import parallel as parallel
from funcnn.nn.combinators import residual as residual
from funcnn.nn.combinators import serial as serial
from funcnn.nn.convolution import conv as conv
from funcnn.nn.convolution import conv_transpose as conv_transpose
from funcnn.nn.dag import dag as dag
from funcnn.nn.dropout import dropout as dropout
from funcnn.nn.dropout import stochastic_depth as stochastic_depth
from funcnn.nn.embedding import embedding as embedding
from funcnn.nn.functional import global_avg_pool as global_avg_pool
from funcnn.nn.functional import global_max_pool as global_max_pool
from funcnn.nn.functional import leaky_relu as leaky_relu
from funcnn.nn.functional import step as step
from funcnn.nn.intermediates import intermediates as intermediates
from funcnn.nn.layer import Layer as Layer
from funcnn.nn.layer import Window as Window
from funcnn.nn.layer import as_layer as as_layer
from funcnn.nn.layer import stateless as stateless
from funcnn.nn.linear import dense as dense
from funcnn.nn.normalization import batch_norm as batch_norm
from funcnn.nn.normalization import group_norm as group_norm
from funcnn.nn.normalization import layer_norm as layer_norm
from funcnn.nn.normalization import rms_norm as rms_norm
from funcnn.nn.parameters import count_parameters as count_parameters
from funcnn.nn.pooling import avg_pool as avg_pool
from funcnn.nn.pooling import fractional_max_pool as fractional_max_pool
from funcnn.nn.pooling import max_pool as max_pool
from funcnn.nn.positions import learned_positions as learned_positions
from funcnn.nn.positions import sinusoidal_positions as sinusoidal_positions
from funcnn.nn.precision import mixed_precision as mixed_precision
from funcnn.nn.recurrent import gru as gru
from funcnn.nn.recurrent import lstm as lstm
from funcnn.nn.recurrent import rnn as rnn
from funcnn.nn.remat import remat as remat
from funcnn.nn.repeat import repeat as repeat
from funcnn.nn.reshaping import flatten as flatten
from funcnn.nn.reshaping import reshape as reshape
from funcnn.nn.summary import Summary as Summary
from funcnn.nn.summary import summary as summary
from funcnn.nn.transformer import transformer_block as transformer_block
from funcnn.nn.wiring import shared as shared
