"""Losses, one value an example as in optax: the caller takes the mean.

Logits and predictions have a floating dtype, and so has the result. What sums does so in float32
at least: bfloat16 and float16 are rounded once, at the end. All of these work under `jit`, `vmap`
and `grad` (first and higher, reverse and forward).
"""

from funcnn.labels import check_labels as check_labels
from funcnn.losses.binary import binary_cross_entropy as binary_cross_entropy
from funcnn.losses.binary import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from funcnn.losses.binary import sigmoid_focal_loss as sigmoid_focal_loss
from funcnn.losses.class_weights import balanced_class_weights as balanced_class_weights
from funcnn.losses.class_weights import class_weighted as class_weighted
from funcnn.losses.distributions import cross_entropy as cross_entropy
from funcnn.losses.distributions import kl_divergence as kl_divergence
from funcnn.losses.distributions import negative_log_likelihood as negative_log_likelihood
from funcnn.losses.hinge import hinge_loss as hinge_loss
from funcnn.losses.hinge import multiclass_hinge_loss as multiclass_hinge_loss
from funcnn.losses.hinge import multiclass_hinge_sum as multiclass_hinge_sum
from funcnn.losses.reduction import mean as mean
from funcnn.losses.regression import absolute_error as absolute_error
from funcnn.losses.regression import cosine_distance as cosine_distance
from funcnn.losses.regression import cosine_similarity as cosine_similarity
from funcnn.losses.regression import huber_loss as huber_loss
from funcnn.losses.regression import l2_loss as l2_loss
from funcnn.losses.regression import log_cosh as log_cosh
from funcnn.losses.regression import quadratic as quadratic
from funcnn.losses.regression import squared_error as squared_error
from funcnn.losses.regularizers import elastic_net as elastic_net
from funcnn.losses.regularizers import l1 as l1
from funcnn.losses.regularizers import l2 as l2
from funcnn.losses.softmax import smooth_labels as smooth_labels
from funcnn.losses.softmax import softmax_cross_entropy as softmax_cross_entropy
from funcnn.losses.softmax import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
