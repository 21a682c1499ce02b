"""Safetensors files: exact round trips, also through PyTorch, and no half-written files."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import LSTM, files
from rnn_jax.interop import (
    from_flax_linen,
    from_pytorch,
    read_safetensors,
    to_flax_linen,
    to_pytorch,
    write_safetensors,
)
from rnn_jax.layers import Bidirectional, Stack

LAYER = Stack([Bidirectional(LSTM(3, 4)), Bidirectional(LSTM(8, 4))])


def draw_params(layer):
    rng = np.random.default_rng(0)
    like = jax.eval_shape(layer.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), like)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32, np.float64, np.int32, np.bool_])
def test_round_trip_is_exact(tmp_path, dtype):
    arrays = {
        "a": np.arange(6).reshape(2, 3).astype(dtype),
        "scalar": np.ones((), dtype),
        "empty": np.ones((0, 3), dtype),
    }
    write_safetensors(tmp_path / "x.safetensors", arrays)
    read = read_safetensors(str(tmp_path / "x.safetensors"))
    assert {name: array.dtype for name, array in read.items()} == dict.fromkeys(arrays, np.dtype(dtype))
    chex.assert_trees_all_equal(read, arrays)


def test_views_are_written_correctly(tmp_path):
    # safetensors writes memory as it is.
    array = np.arange(24.0).reshape(4, 6)
    arrays = {
        "transposed": array.T,
        "strided": array[::2, 1::2],
        "reversed": array[::-1],
        "swapped": array.astype(">f8"),
    }
    write_safetensors(tmp_path / "x.safetensors", arrays)
    chex.assert_trees_all_equal(read_safetensors(tmp_path / "x.safetensors"), arrays)


def test_nested_names_are_dotted(tmp_path):
    params = draw_params(LSTM(3, 4))
    write_safetensors(tmp_path / "x.safetensors", to_flax_linen(LSTM(3, 4), params))
    read = read_safetensors(tmp_path / "x.safetensors")
    assert "hf.bias" in read
    chex.assert_trees_all_equal(from_flax_linen(LSTM(3, 4), read), params)


@pytest.mark.peers
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_files_of_pytorch_are_read(tmp_path, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    save_file = pytest.importorskip("safetensors.torch").save_file
    model = torch.nn.ModuleDict(
        {"embed": torch.nn.Embedding(5, 3), "rnn": torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True)}
    )
    save_file(model.to(getattr(torch, dtype)).state_dict(), tmp_path / "x.safetensors")
    params = from_pytorch(LAYER, read_safetensors(tmp_path / "x.safetensors"), prefix="rnn.")
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
    state_dict = {name: tensor.float().numpy() for name, tensor in model["rnn"].state_dict().items()}
    w_i = params[1].backward.w_i.astype(jnp.float32)
    chex.assert_trees_all_equal(w_i, state_dict["weight_ih_l1_reverse"].T)


@pytest.mark.peers
def test_pytorch_reads_the_files(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    load_file = pytest.importorskip("safetensors.torch").load_file
    params = draw_params(LAYER)
    write_safetensors(tmp_path / "x.safetensors", to_pytorch(LAYER, params))
    module = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    module.load_state_dict(load_file(tmp_path / "x.safetensors"))
    chex.assert_trees_all_equal(from_pytorch(LAYER, module.state_dict()), params)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.safetensors"):
        read_safetensors(tmp_path / "missing.safetensors")


def test_other_and_truncated_files_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": np.arange(100.0)})
    whole = path.read_bytes()
    for content in (b"", b"PK\3\4 this could be a zip file", whole[:5], whole[:30], whole[:-1], whole + b"x"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot read .*x\.safetensors: "):
            read_safetensors(path)


def test_a_dtype_that_numpy_lacks_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": jnp.ones(3, jnp.float8_e4m3fn)})
    with pytest.raises(ValueError, match=r"cannot read .*x\.safetensors: .*float8_e4m3fn"):
        read_safetensors(path)


@pytest.mark.parametrize("value", [np.array(["text"]), np.array([None]), np.array([1j])])
def test_a_dtype_that_the_format_lacks_writes_no_file(tmp_path, value):
    with pytest.raises(ValueError, match=r"cannot write .*x\.safetensors: .*dtype"):
        write_safetensors(tmp_path / "x.safetensors", {"a": value})
    assert not list(tmp_path.iterdir())


def test_anything_but_a_mapping_is_refused(tmp_path):
    with pytest.raises(TypeError, match="write_safetensors expects a mapping of names to arrays, got list"):
        write_safetensors(tmp_path / "x.safetensors", [np.ones(3)])


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": np.ones(3)})

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_safetensors(path, {"a": np.zeros(3)})
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]
    chex.assert_trees_all_equal(read_safetensors(path), {"a": np.ones(3)})
