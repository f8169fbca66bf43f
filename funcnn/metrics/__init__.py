"""Metrics: what is reported but not differentiated.

Each is a function of predictions and labels. Over more data than is held at once, one adds up
counts (a confusion matrix, a histogram of scores, sums of errors), within a compiled loop or
without, and takes the metric of them: `metrics.from_confusion.f1(matrix)`,
`metrics.roc_auc_from_histogram(histogram)`, `metrics.r2_from_sums(sums)`.
"""

from funcnn.metrics import from_confusion as from_confusion
from funcnn.metrics.classification import accuracy as accuracy
from funcnn.metrics.classification import error_rate as error_rate
from funcnn.metrics.classification import f1 as f1
from funcnn.metrics.classification import fbeta as fbeta
from funcnn.metrics.classification import precision as precision
from funcnn.metrics.classification import recall as recall
from funcnn.metrics.classification import specificity as specificity
from funcnn.metrics.classification import top_k_accuracy as top_k_accuracy
from funcnn.metrics.confusion import confusion_matrix as confusion_matrix
from funcnn.metrics.regression import RegressionSums as RegressionSums
from funcnn.metrics.regression import mean_absolute_error as mean_absolute_error
from funcnn.metrics.regression import mean_absolute_error_from_sums as mean_absolute_error_from_sums
from funcnn.metrics.regression import mean_squared_error as mean_squared_error
from funcnn.metrics.regression import mean_squared_error_from_sums as mean_squared_error_from_sums
from funcnn.metrics.regression import r2 as r2
from funcnn.metrics.regression import r2_from_sums as r2_from_sums
from funcnn.metrics.regression import regression_sums as regression_sums
from funcnn.metrics.roc import roc_auc as roc_auc
from funcnn.metrics.roc import roc_auc_from_histogram as roc_auc_from_histogram
from funcnn.metrics.roc import roc_curve as roc_curve
from funcnn.metrics.roc import roc_curve_from_histogram as roc_curve_from_histogram
from funcnn.metrics.roc import score_histogram as score_histogram
