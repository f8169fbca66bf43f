"""Where a gradient went wrong, and what it costs."""

from funcnn.debug.costs import CostRow as CostRow
from funcnn.debug.costs import Costs as Costs
from funcnn.debug.costs import costs as costs
from funcnn.debug.flow import FlowOverTime as FlowOverTime
from funcnn.debug.flow import FlowRow as FlowRow
from funcnn.debug.flow import GradientFlow as GradientFlow
from funcnn.debug.flow import Verdict as Verdict
from funcnn.debug.flow import flow_over_time as flow_over_time
from funcnn.debug.gradient_flow import gradient_flow as gradient_flow
from funcnn.debug.nan_origin import nan_origin as nan_origin
from funcnn.debug.origin import NanOrigin as NanOrigin
