"""Precision of matrix products: the flag of every experiment, and what rounded products do to a gradient."""

import concurrent.futures
import dataclasses
import functools
import importlib
import json
import re

import jax
import jax.numpy as jnp
import pytest

from experiments import check, gradient_norms, long_dependency, peers
from experiments.catalogue import CATALOGUE
from experiments.common import precision
from experiments.common.flags import ComputeConfig, UserError
from experiments.common.run_folder import Report, RunFolder, Table
from rnn_jax import LSTM, MinGRU, models, report, training, unroll
from rnn_jax.engines import Associative, Checkpointed, Fused, Hoisted, Scan

EXPERIMENTS = [entry.name for entry in CATALOGUE if entry.name not in ("check", "doctor")]  # the doctor reads records
TINY = dataclasses.replace(gradient_norms.QUICK, cells=("lstm",), length=3, hidden_size=4, steps=1, seeds=1)


class Reached(Exception):
    """An experiment has started."""


def in_force() -> list[str | None]:
    """Returns JAX's precision in this thread and in a new one."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: jax.config.jax_default_matmul_precision).result()
    return [jax.config.jax_default_matmul_precision, other]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_in_full_precision_in_all_threads_and_leaves_none(name, tmp_path, monkeypatch) -> None:
    module, seen = importlib.import_module(f"experiments.{name}"), []

    def started(*_):
        seen.extend(in_force())
        raise Reached

    monkeypatch.setattr(*((module.Config, "problems") if name == "throughput" else (module, "plan")), started)
    with jax.default_matmul_precision("tensorfloat32"), pytest.raises(Reached):
        module.run(module.QUICK, str(tmp_path))
    with pytest.raises(Reached):
        module.run(dataclasses.replace(module.QUICK, matmul_precision="default"), str(tmp_path))
    assert seen == ["highest", "highest", "default", "default"]
    assert in_force() == [None, None]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_unknown_precision_is_refused_before_anything_is_written(name, tmp_path) -> None:
    module = importlib.import_module(f"experiments.{name}")
    with pytest.raises(UserError, match=r"--matmul_precision must be one of highest, high, default, got 'float16'"):
        module.run(dataclasses.replace(module.QUICK, matmul_precision="float16"), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_check_runs_in_full_precision(monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(check, "_checks", lambda *_: seen.extend(in_force()) or iter(()))
    check.run("rnn_jax:LSTM")
    check.run("rnn_jax:LSTM", "high")
    assert seen == ["highest", "highest", "high", "high"]


def products(program: str) -> set[str]:
    """Returns the kinds of products in the text of a lowered program, each with the precision of its operands."""
    lines = [line for line in program.splitlines() if re.search(r"stablehlo\.(dot_general|convolution)", line)]
    rows = [(re.search(r"dot_general|convolution", line), re.findall("DEFAULT|HIGHEST|HIGH", line)) for line in lines]
    return {" ".join([kind[0], *(precisions or ["DEFAULT"] * 2)]) for kind, precisions in rows}


@pytest.mark.parametrize("flag", ["highest", pytest.param("default", marks=pytest.mark.extended)])
def test_a_training_step_in_a_thread_of_the_runner_has_products_of_the_flags_precision(flag, tmp_path, monkeypatch):
    seen = set()

    def lowered(run, config, session):
        state = training.start(run.trainer, run.task, training.init(run.trainer, jax.random.key(0)[None]))
        step = jax.jit(functools.partial(training.run, run.trainer, run.task, steps=1))
        seen.update(products(step.lower(state).as_text()))
        raise Reached

    monkeypatch.setattr(gradient_norms, "measure", lowered)
    with pytest.raises(Reached):
        gradient_norms.run(dataclasses.replace(TINY, matmul_precision=flag), str(tmp_path))
    assert seen == {f"dot_general {flag.upper()} {flag.upper()}"}


ENGINES = [(Scan(), LSTM), (Hoisted(), LSTM), (Checkpointed(), LSTM), (Fused(), LSTM), (Associative(), MinGRU)]


@pytest.mark.parametrize(
    ("engine", "kind"), ENGINES, ids=lambda value: getattr(value, "__name__", type(value).__name__)
)
def test_products_of_every_engine_and_of_its_adjoint_have_the_precision(engine, kind) -> None:
    cell, xs = kind(3, 4), jnp.ones((5, 2, 3))
    params = cell.init(jax.random.key(0))
    with precision.products("highest"):
        gradient = jax.make_jaxpr(jax.grad(lambda params: jnp.sum(unroll(cell, params, xs, engine=engine)[1])))(params)
    text = str(gradient)  # with the kernels
    count = text.count("dot_general[")
    assert count >= 2
    assert text.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == count


def test_a_convolution_and_its_derivative_have_the_precision_on_a_tpu() -> None:
    encoder, images = models.ImageEncoder((8, 8, 1), (2, 2), (2, 2)), jnp.zeros((1, 8, 8, 1))
    with precision.products("highest"):
        params = encoder.init(jax.random.key(0))
        gradient = jax.jit(jax.grad(lambda params: jnp.sum(encoder.apply(params, images)))).trace(params)
        assert products(gradient.lower(lowering_platforms=("tpu",)).as_text()) == {"convolution HIGHEST HIGHEST"}


@pytest.fixture
def written(tmp_path):
    """Makes JAX write the programs that it compiles; returns their folder."""
    jax.clear_caches()
    jax.config.update("jax_dump_ir_to", str(tmp_path / "programs"))
    yield tmp_path / "programs"
    jax.config.update("jax_dump_ir_to", "")


@pytest.mark.extended
def test_no_program_of_a_whole_experiment_has_a_rounded_product(written, tmp_path) -> None:
    gradient_norms.run(TINY, str(tmp_path / "run"))
    programs = [path.read_text(encoding="utf-8") for path in written.glob("*.mlir")]
    assert {kind for program in programs for kind in products(program)} == {"dot_general HIGHEST HIGHEST"}


def test_the_precision_is_recorded_and_another_one_is_another_run(tmp_path, capsys) -> None:
    config, other = ComputeConfig(), ComputeConfig(matmul_precision="default")
    with precision.products("highest"):
        folder = RunFolder(config, str(tmp_path))
        table = Table([report.Column("network", str)], {"section": ["lstm"]}, "network: its name.\n")
        folder.show(Report("A run", [], [table], {}))
    assert "network: its name. Float32 products: full." in capsys.readouterr().out
    assert "network: its name. Float32 products: full." in (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["matmul_precision"] == "highest"
    message = r'another config \(matmul_precision: "highest" there, "default" here\): .* with --noresume'
    with pytest.raises(UserError, match=message):
        RunFolder(other, str(tmp_path))
    store = long_dependency.Store(tmp_path, dataclasses.replace(long_dependency.QUICK, matmul_precision="high"), "")
    assert store.shared["matmul_precision"] == "high"  # of each item of the benchmark, which grows


def test_pytorch_rounds_its_products_on_a_gpu_if_jax_does() -> None:
    backends, peer = pytest.importorskip("torch").backends, peers.load("torch")
    before = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
    try:
        for flag, rounded in (("default", True), ("high", True), ("highest", False)):
            with precision.products(flag):
                peer.match_jax()
            assert (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32) == (rounded, rounded)
    finally:
        backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32 = before
