"""Reading and writing at computed places. A read gives back a sum into zeros; a write, a read."""

from jax import lax

from funcnn.autodiff.rules.table import linear


def _undo_gather(
    g, operand_aval, indices, dimension_numbers, indices_are_sorted, unique_indices, mode
):
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=dimension_numbers.offset_dims,
        inserted_window_dims=dimension_numbers.collapsed_slice_dims,
        scatter_dims_to_operand_dims=dimension_numbers.start_index_map,
        operand_batching_dims=dimension_numbers.operand_batching_dims,
        scatter_indices_batching_dims=dimension_numbers.start_indices_batching_dims,
    )
    return lax.scatter_add(
        lax.full(operand_aval.shape, 0, g.dtype),
        indices,
        g,
        numbers,
        indices_are_sorted=indices_are_sorted,
        unique_indices=unique_indices,
        mode=mode,
    )


linear(lax.gather_p, "operand indices", operand=_undo_gather)


def _read_where_added(
    g, indices, updates_aval, dimension_numbers, indices_are_sorted, unique_indices, mode
):
    numbers = lax.GatherDimensionNumbers(
        offset_dims=dimension_numbers.update_window_dims,
        collapsed_slice_dims=dimension_numbers.inserted_window_dims,
        start_index_map=dimension_numbers.scatter_dims_to_operand_dims,
        operand_batching_dims=dimension_numbers.operand_batching_dims,
        start_indices_batching_dims=dimension_numbers.scatter_indices_batching_dims,
    )
    window = iter(dimension_numbers.update_window_dims)
    single = (*dimension_numbers.inserted_window_dims, *dimension_numbers.operand_batching_dims)
    sizes = [1 if d in single else updates_aval.shape[next(window)] for d in range(g.ndim)]
    return lax.gather(
        g,
        indices,
        numbers,
        sizes,
        indices_are_sorted=indices_are_sorted,
        unique_indices=unique_indices,
        mode=mode,
        fill_value=0,
    )


linear(
    lax.scatter_add_p,
    "operand indices updates",
    operand=lambda g: g,
    updates=_read_where_added,
)


# The starts that a primitive gets are final: `allow_negative_indices` would count them from the end
# a second time.
def _placed(into, part, start):
    return lax.dynamic_update_slice(into, part, start, allow_negative_indices=False)


linear(
    lax.dynamic_slice_p,
    "operand *start",
    operand=lambda g, operand_aval, start: _placed(
        lax.full(operand_aval.shape, 0, g.dtype), g, start
    ),
)
linear(
    lax.dynamic_update_slice_p,
    "operand update *start",
    operand=lambda g, update_aval, start: _placed(
        g, lax.full(update_aval.shape, 0, g.dtype), start
    ),
    update=lambda g, update_aval, start: lax.dynamic_slice(
        g, start, update_aval.shape, allow_negative_indices=False
    ),
)
