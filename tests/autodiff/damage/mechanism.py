"""Damages of the mechanism: a line of the library that reads otherwise.

By function, then by what is wrong: the text that is replaced, what it is replaced by, and the tests
that are to notice, as parts of their names. A text that is no longer in the function is an error.
"""

import contextlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator

from .rules import forget


@contextlib.contextmanager
def done(name: str, old: str, new: str) -> Iterator[None]:
    """Within this context the function called `name` has `new` in place of `old`."""
    function = pkgutil.resolve_name(f"funcnn.autodiff.{name}")
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{name} has {source.count(old)} times {old!r}"
    # the code alone is replaced, so that it is damaged wherever it is known
    original = function.__code__
    damaged: dict = {}
    exec(compile(source.replace(old, new), name, "exec"), dict(function.__globals__), damaged)
    forget()
    function.__code__ = damaged[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = original
        forget()


def cases(*names: str) -> list[str]:
    """The tests of the cases of primitives."""
    tests = ("test_in_float32", "test_in_float64_under_vmap", "test_second_order")
    return [f"test_rules.py::{test}[{name}]" for test in tests for name in names]


MODES = "test_composition.py::test_in_every_mode"
JVP = "test_composition.py::test_custom_jvp"
VJP = "test_composition.py::test_custom_vjp"
HALVES = "test_programs.py::"
CUT = "test_cut.py::"
SHARDED = ["test_shard_map.py::", *cases("shard_map", "psum")]
REFERENCES = "test_references.py::"
HI = "test_hi_primitives.py::"
KEPT = "test_kept.py::"
OPENED = "test_opened.py::"
TRANSFORMS = "test_transforms.py::"

DAMAGES: dict[str, dict[str, tuple[str, ...]]] = {
    # --- the backward pass
    "backward:_add": {
        "the last one overwrites": ("_sum(cotangents[slot], g)", "g", MODES),
        "the first one stays": ("_sum(cotangents[slot], g)", "cotangents[slot]", MODES),
    },
    "backward:backward": {
        "ends where nothing comes": ("continue", "break", MODES),
        "one that is absent stops all": ("if all(g is", "if any(g is", *cases("scan", "split")),
    },
    # --- the tracer
    "tracer:record": {"slots begin at 0": ("slots=len(values)", "slots=0", MODES)},
    "tracer:TapeTrace.untrack": {
        "other traces' tracers are its own": (
            "isinstance(t, TapeTracer) and t._trace is self",
            "isinstance(t, TapeTracer)",
            "test_composition.py::test_perturbations_are_not_confused",
        )
    },
    "tracer:TapeTrace.stage_value": {
        "is no longer tracked": (
            "return self.track(value, slot)",
            "return value",
            *cases("stage"),
        )
    },
    "tracer:TapeTrace.process_primitive": {
        "inner programs are always opened": (
            'and (self.of_tangents or _is_better_open(params["jaxpr"], values))',
            "",
            "test_composition.py",
        ),
        "inner programs are never opened": (
            '_is_better_open(params["jaxpr"], values)',
            "False",
            "test_composition.py",
        ),
        "inner programs stay closed in rules": ("self.of_tangents or ", "", JVP, "test_zoo"),
        "what has no rule is passed over": ("if any(tracked):", "if False:", "test_errors.py"),
    },
    "tracer:TapeTrace.write": {
        "one slot for all outputs": ("self._slots += reached", "self._slots += 0", MODES),
        "integers are tracked": ("tracked and is_inexact(out)", "tracked", "test_composition.py"),
        "all outputs are tracked": (
            "tracked and is_inexact(out)",
            "is_inexact(out)",
            "test_composition.py",
        ),
    },
    "tangents:zeros": {
        "never weakly typed": ("constant(0, aval)", "np.zeros((), aval.dtype)", TRANSFORMS),
        "the same on all devices": (
            'jax.lax.pcast(made, varying, to="varying") if varying else made',
            "made",
            *SHARDED,
        ),
    },
    "tangents:zero_tangent": {
        "of integers too": (
            "zeros(aval) if is_inexact(aval) else",
            "zeros(aval) if True else",
            TRANSFORMS,
        )
    },
    # --- custom rules
    "calls:custom_jvp_call": {
        "the rule is ignored": ("trace.of_tangents or not custom_rules.value", "True", JVP),
        "rules within rules": ("trace.of_tangents or not", "not", JVP),
        "asked to be ignored, it is not": (" or not custom_rules.value", "", "testing/"),
        "tangents of other operands": ("zip(avals, slots,", "zip(avals, slots[::-1],", JVP),
        "tangents of other outputs": (
            "zip(primals_out, out_slots,",
            "zip(primals_out, out_slots[::-1],",
            JVP,
        ),
        "no symbolic zeros": (
            "symbolic_zero if symbolic_zeros else zero_tangent",
            "zero_tangent",
            JVP,
        ),
        "symbolic zeros unasked": (
            "symbolic_zero if symbolic_zeros else zero_tangent",
            "symbolic_zero",
            JVP,
        ),
        "never left": ("trace.of_tangents = False", "pass", JVP),
    },
    "calls:custom_vjp_call": {
        "the rule is ignored": ("if not custom_rules.value:", "if True:", VJP),
        "asked to be ignored, it is not": ("if not custom_rules.value:", "if False:", "testing/"),
        "residuals in another order": (", saved, backward)", ", saved[::-1], backward)", VJP),
        "all are said to be perturbed": (
            "(s is not None for s in slots)",
            "(True for s in slots)",
            VJP,
        ),
    },
    "calls:_custom_vjp_backward": {
        "cotangents before residuals": ("(*saved, *gs)", "(*gs, *saved)", VJP),
        "cotangents of other operands": (
            "for ct in cotangents]",
            "for ct in cotangents[::-1]]",
            VJP,
        ),
        "no symbolic zeros": (
            "symbolic_zero if symbolic_zeros else zero_cotangent",
            "zero_cotangent",
            VJP,
        ),
        "float0 passes": ("is_array(ct) and is_inexact(ct)", "is_array(ct)", VJP),
    },
    "calls:shard_map": {
        "what is closed over": (
            "program.constvars, jax_versions",
            "program.constvars[::-1], jax_versions",
            *SHARDED,
        )
    },
    # --- rules' forms
    "rules.table:unbroadcast": {
        "one element for the sum of all": (
            "lax.reduce_sum(g, tuple(range(g.ndim)))",
            "g[(0,) * g.ndim]",
            *cases("add", "mul"),
        ),
        "one slice for the sum over an axis": (
            "reshaped(lax.reduce_sum(g, axes), like)",
            "g[tuple(slice(0, n) for n in like.shape)]",
            *cases("add", "mul", "nextafter", "zeta"),
        ),
    },
    # --- inner programs: the joint program and its halves
    "programs.joint:joint": {
        "all outputs are tracked": (
            "slot is not None for slot in slots",
            "True for slot in slots",
            HALVES,
        ),
        "cotangents of other outputs": (
            "iter(program.invars[len(tracked) :])",
            "iter(program.invars[len(tracked) :][::-1])",
            HALVES,
            MODES,
        ),
        "cotangents of other operands": (
            "iter(program.outvars[count:])",
            "iter(program.outvars[count:][::-1])",
            HALVES,
        ),
        "the first step back is part of the way there": (
            "late.update(eqn.outvars)",
            "pass",
            HALVES,
        ),
        "jits are not opened": (
            "_evaluate_opened if opened else",
            "",
            *cases("remat2"),
            KEPT,
        ),
    },
    "programs.joint:once": {
        "with or without custom rules": (", custom_rules.value,", ",", "testing/"),
        "for one key": (
            "key = (key, ",
            "key = (key[0], ",
            "test_composition.py",
            *cases("jit", "cond", "scan"),
        ),
    },
    "programs.joint:reached": {
        "nothing is reached": (
            "for v in inner.outvars]",
            "for v in [None]*0 + [Literal(0, None)] * len(inner.outvars)]",
            *cases("scan", "cond"),
        ),
        "only by the last operand": (
            "not any(inputs)",
            "not inputs[-1]",
            *cases("scan", "cond", "while"),
        ),
        "through what has no derivative": (
            "eqn.primitive in no_gradient or ",
            "",
            KEPT,
        ),
    },
    "programs.joint:_reached_by_tracing": {
        "everything is reached": (
            "slot is not None for slot",
            "True for slot",
            "test_custom_vjp_in_the_forward_mode_of_a_jvp_rule",
        ),
    },
    "programs.joint:halve": {
        "operands alone are kept": (
            "if v in chosen",
            "if v in chosen and v in program.operands",
            HALVES,
        ),
        "nothing is made again": (
            "again = live([eqn for eqn in program.forward if not eqn.effects], wanted, chosen)",
            "again = []",
            HALVES,
        ),
        "effects happen again": (
            "[eqn for eqn in program.forward if not eqn.effects]",
            "program.forward",
            "test_effects.py",
        ),
        "constants are kept": ("{*at_hand, *program.constants}", "set(at_hand)", HALVES),
    },
    "programs.joint:pull_back": {
        "cotangents of other outputs": (
            "zip(program.cotangents, gs,",
            "zip(program.cotangents, gs[::-1],",
            HALVES,
            *cases("jit", "scan"),
        )
    },
    "programs.joint:present_after": {
        "one absent makes all absent": (
            "dependent <= absent",
            "not dependent.isdisjoint(absent)",
            HALVES,
            *cases("scan", "cond", "while"),
        ),
        "none is absent": (
            "if dependent and dependent <= absent:",
            "if False:",
            HALVES,
            KEPT,
        ),
        "barriers": (
            "if eqn.primitive is lax.optimization_barrier_p:",
            "if False:",
            HALVES,
            *cases("remat2", "scan", "cond"),
            KEPT,
        ),
    },
    "programs.joint:evaluate": {
        "ones for absent cotangents": (
            "zero_tangent(v.aval) if x is None",
            "lax.full(v.aval.shape, 1, v.aval.dtype) if x is None",
            HALVES,
        ),
        "zeros are added": ("not present or eqn.primitive in _sums", "not present", HALVES),
        "a sum with one absent is absent": ("present[0] if present else None", "None", HALVES),
        "barriers": (
            "if eqn.primitive is lax.optimization_barrier_p:",
            "if False:",
            HALVES,
        ),
    },
    "programs.joint:live": {
        "effects are left out": ("if eqn.effects or any(", "if any(", "test_effects.py"),
        "what is at hand is made": ("v not in at_hand)\n    return", "True)\n    return", HALVES),
    },
    # --- the cut
    "programs.cut:minimum_cut": {
        "anything may be made again": (
            "eqn is None or not can_be_made_again(eqn)",
            "eqn is None",
            CUT,
        ),
        "nothing may be made again": ("eqn is None or not can_be_made_again(eqn)", "True", CUT),
        "what is at hand is kept": ("if v in at_hand:", "if False:", CUT),
        "all cost the same": ("= cost(v)", "= 1", CUT),
        "the other side": (
            "after(v) in behind and before(v) not in behind",
            "before(v) in behind and after(v) not in behind",
            CUT,
        ),
        "a value flows into one of those it is made of": (
            "for u in eqn.invars:",
            "for u in eqn.invars[:1]:",
            CUT,
        ),
    },
    "programs.cut:_side_of_the_sink": {
        "from the sink": ("if left[u][v] > 0 and u", "if left[v][u] > 0 and u", CUT),
        "the infinite is small": (
            "2 * sum(c for c in edges.values() if c < np.inf) + 1",
            "1",
            CUT,
        ),
        "nothing flows": (
            "while path := _shortest_path(left, source, sink)",
            "while path := []",
            CUT,
        ),
        "nothing flows back": ("left[v][u] += flow", "left[v][u] += 0", CUT),
    },
    "programs.cut:is_cheap": {
        "functions of elements are cheap": (
            "_made_of(_CHEAP, eqn)",
            "_made_of(_ELEMENTWISE, eqn)",
            CUT,
        )
    },
    "programs.cut:_made_of": {
        "an inner program is cheap if anything in it is": ("return all(", "return any(", CUT),
    },
    # --- inner programs as calls
    "programs.calls:called": {
        "residuals in another order": (
            "for place, i in calls.residuals]",
            "for place, i in calls.residuals[::-1]]",
            MODES,
            *cases("jit"),
        ),
    },
    "programs.jit:calls": {
        "residuals in another order": (
            "[places[v] for v in halves.kept])",
            "[places[v] for v in halves.kept[::-1]])",
            HALVES,
        ),
        "another output is taken": ('("output", i)', '("output", 0)', HALVES, *cases("jit")),
        "another operand is taken": ('("operand", i)', '("operand", 0)', HALVES),
        "operands are kept again": ("0 if v in places else bytes_of(v)", "bytes_of(v)", HALVES),
    },
    "programs.jit:as_one_call": {
        "whatever is tracked": ('("jit", name, inline, tracked)', '("jit", name, inline)', HALVES)
    },
    "programs.remat:_calls": {
        "all is kept": (
            "else math.inf",
            "else 0",
            KEPT,
            *cases("remat2"),
        ),
        "the policy is ignored": (
            "kept_by(answers.get(v, False))",
            "False",
            KEPT,
            *cases("remat2"),
        ),
        "the compiler keeps it": (
            "lax.optimization_barrier((saved, gs))",
            "(saved, gs)",
            KEPT,
            *cases("remat2"),
        ),
        "effects happen again": ("not eqn.effects", "True", "test_effects.py"),
        "residuals in another order": (
            "[places[v] for v in halves.kept])",
            "[places[v] for v in halves.kept[::-1]])",
            *cases("remat2"),
        ),
    },
    # --- loops
    "programs.loops:tracked_in_any": {
        "in the first iteration": ("if after == before:", "if True:", *cases("scan", "while"))
    },
    "programs.loops:present_in_any": {
        "in the last iteration": (
            "if grown == there:",
            "if True:",
            *cases("scan", "while"),
            "test_composition.py",
        )
    },
    "programs.loops:zeros_for_absent": {
        "ones": (
            "zero_cotangent(v.aval) if g is None",
            "lax.full(v.aval.shape, 1, v.aval.dtype) if g is None",
            *cases("scan"),
        )
    },
    "programs.loops:added": {"overwrites": ("lax.add(s, g)", "g", *cases("scan"))},
    "programs.scan:_loops": {
        "not in the other direction": (
            '"reverse": not options["reverse"]',
            '"reverse": options["reverse"]',
            *cases("scan"),
        ),
        "handed on from the same iteration": (
            "jnp.clip(i + towards_first,",
            "jnp.clip(i,",
            *cases("scan"),
        ),
        "the first was handed nothing else": (
            "lax.select(i == first, start,",
            "lax.select(i < 0, start,",
            *cases("scan"),
        ),
        "the first of a reverse one": (
            '(options["length"] - 1, 1) if options["reverse"] else (0, -1)',
            "(0, -1)",
            *cases("scan"),
        ),
        "other scanned inputs": (
            '("operand", num_consts + num_carry + i) for i in loop.from_inputs',
            '("operand", num_consts + num_carry) for i in loop.from_inputs',
            *cases("scan"),
        ),
        "carried for scanned outputs": (
            '("output", num_carry + i)',
            '("output", num_carry)',
            *cases("scan"),
        ),
        "values of one iteration": (
            '("added", len(computed) + i)',
            '("added", len(computed))',
            *cases("scan"),
        ),
        "other initial values": (
            '("operand", num_consts + i) for',
            '("operand", num_consts) for',
            *cases("scan"),
        ),
        "outputs of the carried": (
            "*program.tracked[num_carry:],",
            "*program.tracked[:-num_carry],",
            *cases("scan"),
        ),
        "sums begin with what came": (
            "asked[:num_consts], loop.constants)\n\n",
            "[False] * num_consts, loop.constants)\n\n",
            *cases("scan"),
        ),
    },
    "programs.scan:_cut_body": {
        "made again of itself": ("{*kept, *same} - {v}", "{*kept, *same}", *cases("scan")),
        "made again of what was made again": (" or v in sources", "", *cases("scan")),
        "effects happen once": ("not eqn.effects and ", "", "test_effects.py"),
        "the same if anything in it is": (
            "same.issuperset(inputs)",
            "not same.isdisjoint(inputs)",
            *cases("scan"),
        ),
        "nothing is handed on": (
            "if made_of is not None:",
            "if False:",
            *cases("scan"),
            KEPT,
        ),
        "all is stacked": (
            "free = same.union(scanned, ys)",
            "free = set()",
            *cases("scan"),
            KEPT,
        ),
    },
    "programs.scan:_made_of": {
        "made of what is not there": ("needed <= kept and ", "", *cases("scan")),
    },
    "programs.while_loop:_loops": {
        "one iteration too many": ("(np.int32(0), init)", "(np.int32(1), init)", *cases("while")),
        "one iteration too few": ("(np.int32(0), init)", "(np.int32(-1), init)", *cases("while")),
        "cotangents of the condition's constants": (
            "return [*[None] * cond_nconsts, *sums, *gs]",
            "return [*sums, *gs, *[None] * cond_nconsts]",
            *cases("while"),
        ),
        "constants get what the last one gives": (
            "added(sums, found[:body_nconsts])",
            "found[:body_nconsts]",
            *cases("while"),
        ),
    },
    "programs.while_loop:reverse": {
        "the state after": ("step_back(state,", "step_back(step(state),", *cases("while")),
        "the state before that": ("carry[0] < end - 1", "carry[0] < end - 2", *cases("while")),
        "the last place is overwritten": (
            "keep = free > 0",
            "keep = free >= 0",
            *cases("while"),
            KEPT,
        ),
        "a place is left too early": (
            "places[top] >= end",
            "places[top] >= end - 1",
            *cases("while"),
            KEPT,
        ),
        "a place is left too late": (
            "places[top] >= end",
            "places[top] > end",
            *cases("while"),
            KEPT,
        ),
        "the stack has another state": (
            "state = [_at(x, top) for x in stack]",
            "state = [_at(x, 0) for x in stack]",
            *cases("while"),
            KEPT,
        ),
        "checkpoints next to each other": (
            "jnp.maximum(length - rest, 1)",
            "1",
            *cases("while"),
            KEPT,
        ),
        "as if each were computed once": (
            "jnp.sum(longest[here] < length, dtype=np.int32)",
            "np.int32(1)",
            KEPT,
        ),
    },
    # --- branches
    "programs.cond:_cut_branches": {
        "two values in one place": ("free.remove(place)", "pass", *cases("cond")),
        "places are not shared": (
            "if types[i] == v.aval",
            "if False",
            *cases("cond"),
            KEPT,
        ),
        "another output": (
            "branch.outputs.append((outputs[v], v))",
            "branch.outputs.append((0, v))",
            *cases("cond"),
        ),
        "another operand": (
            "branch.operands.append(operands[v])",
            "branch.operands.append(0)",
            *cases("cond"),
        ),
    },
    "programs.cond:_switches": {
        "tracked where all branches are": ("[any(outs) for", "[all(outs) for", *cases("cond")),
        "asked for where all branches are": ("any(s) for", "all(s) for", *cases("cond")),
    },
    "programs.cond:_switch": {
        "the other branch": (
            "lax.switch(index, branches,",
            "lax.switch(index, branches[::-1],",
            *cases("cond"),
        ),
    },
    "programs.cond:cond_rule": {
        "the first branch": ("branches[int(known)]", "branches[0]", *cases("cond")),
        "whatever the other branches": (
            "tuple(map(weakref.ref, branches))",
            "()",
            *cases("cond"),
        ),
    },
    "programs.cond:_and_none_for_the_index": {
        "for the last operand": (
            "[None, *backward(saved, gs)]",
            "[*backward(saved, gs), None]",
            *cases("cond"),
        )
    },
    # --- other programs
    "programs.linear_solve:linear_solve_rule": {
        "the sign": (
            "lax.neg(g) for g in found",
            "g for g in found",
            *cases("custom_linear_solve"),
        ),
        "not transposed": (
            "jaxprs=jaxprs.transpose(),",
            "jaxprs=jaxprs,",
            *cases("custom_linear_solve"),
        ),
        "constants of the others": (
            "*(*of_vecmat, *of_matvec,",
            "*(*of_matvec, *of_vecmat,",
            *cases("custom_linear_solve"),
        ),
        "solvers' constants": (
            "*of_transpose, *of_solve, *gs",
            "*of_solve, *of_transpose, *gs",
            *cases("custom_linear_solve"),
        ),
        "at the right hand side": (
            "[*of_matvec, *x],",
            "[*of_matvec, *gs],",
            *cases("custom_linear_solve"),
        ),
    },
    "programs.reduce:_in_pairs": {
        "the second before the first": (
            "combine(first, second)",
            "combine(second, first)",
            *cases("reduce"),
        ),
        "initial values are left out": ("if with_inits", "if False", *cases("reduce")),
        "the one between is left out": (
            "lax.concatenate(pair, 0) for pair in paired",
            "pair[0] for pair in paired",
            *cases("reduce"),
        ),
    },
    "programs.reduce:reduce_rule": {
        "whatever the axes": ('("reduce", axes, ', '("reduce", ', *cases("reduce")),
        "whatever the types": (
            "*((t.shape, t.dtype, t.weak_type) for t in types)",
            "0",
            *cases("reduce"),
        ),
    },
    "programs.opened:on_a_tape": {
        "in the order of the way there": (
            "zip(reversed(nodes), reversed(saved),",
            "zip(nodes, saved,",
            OPENED,
        ),
        "residuals of other lines": ("reversed(saved)", "saved", OPENED),
        "all outputs are tracked": (
            "slot is not None for slot in slots",
            "True for slot in slots",
            OPENED,
            HI,
        ),
    },
    "programs.opened:_linear_call": {
        "nothing for what is kept for the transpose": (
            "        if any(tracked[:first]):",
            "        if False:",
            OPENED,
        ),
        "in another order": (
            "*residuals,\n            *gs",
            "*gs,\n            *residuals",
            OPENED,
        ),
    },
    "programs.hi_primitives:_ldexp": {
        "the other way": ("jnp.ldexp(gs[0], n)", "jnp.ldexp(gs[0], -n)", HI)
    },
    "programs.hi_primitives:_frexp": {"the other way": ("lax.neg(exponent)", "exponent", HI)},
    "programs.hi_primitives:_custom_root": {
        "the sign": ("lax.neg(g) for g in gs", "g for g in gs", HI),
        "not solved": (
            "found = dict(zip(places, _transposed(f, flat_in_f, tracked_f, gs), strict=True))",
            "found = dict(zip(places, _transposed(f, flat_in_f, tracked_f, saved[0]), strict=True))",  # noqa: E501
            HI,
        ),
    },
    "programs.hi_primitives:_by_its_jvp": {
        "cotangents of the tangents": (
            "[None] * count + list(gs)",
            "list(gs) + [None] * count",
            HI,
        ),
        "outputs are tangents": ("recorded.outs[:count]", "recorded.outs[count:]", HI),
    },
    "programs.hi_primitives:hi_rule": {
        "it is always opened": ("if jax_versions.has_vjp(hi):", "if False:", HI),
        "what one is asked to ignore": ("not custom_rules.value or ", "", HI),
        "JAX's own as others'": ("of_jax and name in _RULES", "False", HI),
    },
    # --- references
    "programs.references:_swap": {
        "what was written has the old slot": (
            "trace.refs[id(ref)] = ref, value_slot",
            "trace.refs[id(ref)] = ref, slot",
            REFERENCES,
        ),
        "what was read has the new slot": (
            "return _followed(trace, old, slot)",
            "return _followed(trace, old, value_slot)",
            REFERENCES,
        ),
        "the part is not overwritten": (
            "return [jax.freeze(contents), g_value]",
            "return [g_new, g_value]",
            REFERENCES,
        ),
        "what was read is lost": (
            "_zeros_of(g_new, part.shape) if g_old is None else g_old",
            "_zeros_of(g_new, part.shape)",
            REFERENCES,
        ),
        "the operands": (
            "(slot, value_slot), recorded)",
            "(value_slot, slot), recorded)",
            REFERENCES,
        ),
    },
    "programs.references:_addupdate": {
        "what was there is lost": ("return [gs[0], get_p", "return [None, get_p", REFERENCES),
        "what is added is not tracked": ("if value_slot is None:", "if True:", REFERENCES),
    },
    "programs.references:_get": {
        "the part as the whole": (
            "return [_placed(gs[0], like, where, params)]",
            "return [jax.numpy.broadcast_to(gs[0].ravel()[0], like.shape)]",
            REFERENCES,
        )
    },
    "programs.references:_freeze": {
        "is no longer tracked": (
            "return _followed(trace, contents, slot)",
            "return contents",
            REFERENCES,
        )
    },
    "programs.references:_new_ref": {
        "is not tracked": ("slots[0] if slots else None", "None", REFERENCES)
    },
    # --- devices
    "programs.shard_map:_calls": {
        "no sum over the devices": (
            "lax.psum(g, tuple(shares(spec))) if shares(spec) else g",
            "g",
            *SHARDED,
        ),
        "whole shares": (
            "None if g is None else g / math.prod(mesh.shape[n] for n in shares(spec))",
            "g",
            *SHARDED,
        ),
        "shares as if unchecked": ("if not check_vma:", "if True:", *SHARDED),
        "as if nothing differed": (
            "_varying(v, axes) if check_vma else axes",
            "[] if check_vma else axes",
            *SHARDED,
        ),
        "another operand": ('("operand", i)', '("operand", 0)', *SHARDED),
        "another output": ('("output", i)', '("output", 0)', *SHARDED),
        "another value": ('("added", i)', '("added", 0)', *SHARDED),
    },
    # --- grad, vjp and the rest
    "transforms:_reached": {
        "only what made the output": ("reached.update(node.inputs)", "pass", TRANSFORMS)
    },
    "transforms:_each_once": {
        "in another order": (
            "for leaf in leaves}.values())",
            "for leaf in leaves[::-1]}.values())",
            TRANSFORMS,
        ),
        "not once": (
            "place.setdefault(id(leaf), len(place)) for leaf in leaves",
            "place.setdefault(i, i) for i, leaf in enumerate(leaves)",
            TRANSFORMS,
            HALVES,
        ),
    },
    "transforms:_gather": {
        "of another input": (
            "cotangents[i] if i in cotangents",
            "cotangents[0] if i in cotangents",
            TRANSFORMS,
        ),
        "arrays of NumPy": ("jax.numpy.asarray(g) if untouched else g", "g", TRANSFORMS),
    },
    "transforms:_pull_back": {
        "residuals of others": (
            "[residuals[i] for i in places]",
            "[residuals[0] for i in places]",
            TRANSFORMS,
        )
    },
    "transforms:of_argnums": {
        "in another order": ("zip(positions, primals,", "zip(positions[::-1], primals,", TRANSFORMS)
    },
    "transforms:one": {
        "twice": (
            "lax.full_like(value, 1) if aval.weak_type else np.ones((), aval.dtype)",
            "2 * np.ones((), aval.dtype)",
            TRANSFORMS,
        ),
        "never weakly typed": ("lax.full_like(value, 1) if aval.weak_type else", "", TRANSFORMS),
    },
}
