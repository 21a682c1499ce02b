"""Compiling for devices that are not here: what the compiled text says, and what is refused."""

import importlib.util
import math

import jax
import jax.numpy as jnp
import pytest

from rnn_jax import LSTM, targets, unroll

# A text as XLA writes it: a loop of 7 iterations, in which a condition and a loop of 5, whose number of iterations
# only its condition shows.
TEXT = """\
HloModule jit_f, is_scheduled=true, entry_computation_layout={(f32[8,4]{1,0:T(8,128)})->f32[8,4]{1,0:T(8,128)}}

%fused (p: f32[8,4]) -> f32[8,4] {
  %p = f32[8,4]{1,0:T(8,128)} parameter(0)
  ROOT %sine = f32[8,4]{1,0:T(8,128)} sine(%p)
}

%dear (q: f32[8,4]) -> f32[8,4] {
  %q = f32[8,4]{1,0:T(8,128)} parameter(0)
  ROOT %f.1 = f32[8,4]{1,0:T(8,128)} fusion(%q), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"40"}
}

%cheap (r: f32[8,4]) -> f32[8,4] {
  ROOT %r = f32[8,4]{1,0:T(8,128)} parameter(0)
}

%inner.body (a: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %a = (s32[]{:T(128)}, f32[8,4]{1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%a), index=0
  %x = f32[8,4]{1,0:T(8,128)} get-tuple-element(%a), index=1
  %one = s32[]{:T(128)} constant(1)
  %next = s32[]{:T(128)} add(%i, %one)
  %start = (f32[8,4]{1,0}, f32[8,4]{1,0:T(8,128)S(1)}, u32[]{:S(2)}) copy-start(%x)
  %done = f32[8,4]{1,0:T(8,128)S(1)} copy-done(%start)
  %f.2 = f32[8,4]{1,0:T(8,128)} fusion(%done), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"3"}
  ROOT %t.1 = (s32[]{:T(128)}, f32[8,4]{1,0:T(8,128)}) tuple(%next, %f.2)
}

%inner.condition (b: (s32[], f32[8,4])) -> pred[] {
  %b = (s32[]{:T(128)}, f32[8,4]{1,0:T(8,128)}) parameter(0)
  %j = s32[]{:T(128)} get-tuple-element(%b), index=0
  %five = s32[]{:T(128)} constant(5)
  ROOT %less = pred[]{:T(512)} compare(%j, %five), direction=LT, metadata={op_name="jit(f)/while/cond/lt"}
}

%outer.body (c: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %c = (s32[], f32[8,4]) parameter(0)
  %w = (s32[], f32[8,4]) while(%c), condition=%inner.condition, body=%inner.body, metadata={op_name="f/jvp()/while"}
  %y = f32[8,4] get-tuple-element(%w), index=1
  %which = s32[] get-tuple-element(%w), index=0
  %z = f32[8,4] conditional(%which, %y, %y), branch_computations={%cheap, %dear}
  %k = f32[8,4] custom-call(%z), custom_call_target="tpu_custom_call", backend_config={"body":"..."}
  ROOT %t.2 = (s32[], f32[8,4]) tuple(%which, %k)
}

%outer.condition (d: (s32[], f32[8,4])) -> pred[] {
  %d = (s32[], f32[8,4]) parameter(0)
  ROOT %unknown = pred[] custom-call(%d), custom_call_target="any"
}

ENTRY %main (x.1: f32[8,4]) -> f32[8,4] {
  %x.1 = f32[8,4] parameter(0)
  %zero = s32[] constant(0)
  %room = f32[8,4] custom-call(), custom_call_target="AllocateBuffer"
  %f.3 = f32[8,4] fusion(%x.1, %room), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"1000"}
  %t.3 = (s32[], f32[8,4]) tuple(%zero, %f.3)
  %v = (s32[], f32[8,4]) while(%t.3), condition=%outer.condition, body=%outer.body, \
metadata={op_name="f/transpose(jvp())/while"}, backend_config={"known_trip_count":{"n":"7"}}
  ROOT %out = f32[8,4] get-tuple-element(%v), index=1
}
"""


def test_ops_and_cycles_are_read_off_the_text():
    outer, inner = targets.loops(TEXT)
    # Launched: the dearer branch and the kernel; the copy and the fusion. Not the counter, nor the end of the copy.
    assert outer == ("outer.body", 2, 40, 1, 7, True)
    assert inner == ("inner.body", 2, 3, 0, 35, False)
    assert targets.total(TEXT) == (1 + 7 * (2 + 5 * 2), 1000 + 7 * (40 + 5 * 3), 7)


def test_a_loop_of_unknown_length_has_no_total():
    text = TEXT.replace('{"known_trip_count":{"n":"7"}}', "{}")
    assert math.isnan(targets.loops(text)[0].iterations)
    assert targets.total(text) is None
    # The outer loop 3 times, and the one inside it 15 times in all; the second loop not at all.
    assert targets.total(text, [3, 15]) == (1 + 3 * 2 + 15 * 2, 1000 + 3 * 40 + 15 * 3, 3)
    assert targets.total(text, [3, 0]) == (1 + 3 * 2, 1000 + 3 * 40, 3)


def gradient(steps=11):
    """Returns the gradient of an LSTM, and the shapes of its arguments (params, xs)."""
    cell = LSTM(3, 4)
    params = jax.eval_shape(cell.init, jax.random.key(0))
    return jax.grad(lambda p, x: jnp.sum(unroll(cell, p, x)[1])), params, jax.ShapeDtypeStruct((steps, 2, 3), "float32")


def test_loops_of_this_cpus_own_program():
    function, *shapes = gradient()
    compiled = jax.jit(function).lower(*shapes).compile()
    forward, backward = targets.loops(compiled)
    assert (forward.is_backward, backward.is_backward) == (False, True)
    assert forward.iterations == backward.iterations == 11
    assert min(forward.ops, backward.ops) >= 1
    assert (forward.cycles, forward.kernels) == (None, 0)  # a CPU's compiler estimates nothing
    assert targets.total(compiled).ops >= 11 * (forward.ops + backward.ops)
    memory = targets.memory(compiled)
    assert memory.arguments == 4 * (3 * 16 + 4 * 16 + 16 + 11 * 2 * 3)
    assert memory.outputs >= 4 * (3 * 16 + 4 * 16 + 16)


def test_a_typo_and_a_missing_compiler_are_one_sentence(monkeypatch):
    with pytest.raises(ValueError, match="target must be one of v5e, v6e, v4, h200, got 'v5'"):
        targets.compile_for(jnp.tanh, jnp.ones(3), target="v5")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'compiling for v5e needs libtpu: pip install "\.\[compile-tpu\]"'):
        targets.compile_for(jnp.tanh, jnp.ones(3), target="v5e")
    with pytest.raises(ImportError, match=r'compiling for h200 needs .*: pip install "\.\[compile-cuda\]"'):
        targets.compile_for(jnp.tanh, jnp.ones(3), target="h200")


@pytest.mark.parametrize("target", targets.TARGETS)
def test_a_gradient_compiles_for_each_target(target):
    try:
        targets.find(target)
    except ImportError as error:
        pytest.skip(str(error))
    function, *shapes = gradient()
    compiled = targets.compile_for(function, *shapes, target=target)
    forward, backward = targets.loops(compiled)
    assert (forward.is_backward, backward.is_backward) == (False, True)
    assert forward.iterations == backward.iterations == 11
    total = targets.total(compiled)
    assert total.ops >= 11 * (forward.ops + backward.ops)
    if targets.TARGETS[target].platform == "tpu":
        assert total.cycles > 11 * (forward.cycles + backward.cycles) > 0
    else:
        assert total.cycles is None
    assert targets.memory(compiled).outputs >= 4 * (3 * 16 + 4 * 16 + 16)
    key = jax.eval_shape(jax.random.key, 0)  # typed keys, scalars, no arguments
    targets.compile_for(lambda k, n: n + jax.random.normal(k), key, 2.0, target=target)
    targets.compile_for(lambda: jnp.ones(3), target=target)
