"""Presets of the long-dependency benchmark: what they are made of, their selection, users' cells and tasks in them."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import long_dependency
from experiments.common import networks
from experiments.long_dependency.config import plan
from experiments.long_dependency.presets import PRESETS
from experiments.long_dependency.recipe import Published
from rnn_jax import tasks, training


def test_every_preset_is_made_of_known_things() -> None:
    for name, recipes in PRESETS.items():
        assert recipes, name
        names = [(r.task, r.length, r.cell) for r in recipes]
        assert len(set(names)) == len(names), name
        for recipe in recipes:
            assert recipe.steps >= recipe.evaluate_every
            task = tasks.find("digits" if recipe.task in tasks.IMAGES else recipe.task, recipe.length)
            assert (recipe.hidden_size is None) == (recipe.terms is not None)
            networks.make_model(recipe.cell, task, recipe.hidden_size or 8, recipe.layers)
            if isinstance(recipe.published, Published):
                assert recipe.published.quantity in {"sequences", "loss", task.metric}


def test_the_ind_rnn_keeps_its_recurrent_weights_within_the_published_range() -> None:
    (item,) = plan(long_dependency.Config(preset="ind_rnn"))
    optimizer = training.optimizers.transformation(item.recipe.optimizer)
    before = params = item.trainer.model.init(jax.random.key(0))
    assert float(params.cell[0].u.min()) < 0.1
    assert float(params.cell[1].u.min()) >= 2 ** (-1 / 1000) - 1e-6
    state = optimizer.init(params)
    for _ in range(8):  # Adam's steps of 2e-4 are more than the last layer has room for
        updates, state = optimizer.update(jax.tree.map(lambda leaf: -jnp.ones_like(leaf), params), state, params)
        params = optax.apply_updates(params, updates)
    limit = 2 ** (1 / 1000)
    for old, new in zip(before.cell, params.cell, strict=True):
        np.testing.assert_allclose(new.u, jnp.minimum(old.u + 8 * 2e-4, limit), atol=1e-6)
        np.testing.assert_allclose(new.w_i, old.w_i + 8 * 2e-4, atol=1e-6)


def test_a_preset_is_filtered_by_tasks_cells_and_lengths() -> None:
    every = plan(long_dependency.Config(preset="adding"))
    some = plan(long_dependency.Config(preset="adding", cells=("gru",), lengths=("200", "750")))
    assert [item.name for item in some] == ["adding/200/gru", "adding/750/gru"]
    assert {item.recipe for item in some} < {item.recipe for item in every}


USERS = """
import rnn_jax
from rnn_jax import tasks

def Cell(input_size, hidden_size, bias=1.0): return rnn_jax.LSTM(input_size, hidden_size, forget_bias=bias)
def Task(length): return tasks.Adding1997(length)
"""


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "preset_users.py").write_text(USERS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def recipes_of(**fields: Any) -> dict[str, Any]:
    return {item.name: item.recipe for item in plan(long_dependency.Config(**fields))}


def test_a_user_defined_cell_takes_a_presets_recipe(users: None) -> None:
    own = "preset_users:Cell(bias=3.0)"
    default, by_rnn = (
        recipes_of(preset="adding", cells=(own, "gru"), lengths=("200",), recipe=recipe) for recipe in (None, "rnn")
    )
    assert list(default) == ["adding/200/gru", f"adding/200/{own}"]
    (gru,) = (recipe for recipe in PRESETS["adding"] if (recipe.length, recipe.cell) == (200, "gru"))
    (rnn,) = (recipe for recipe in PRESETS["adding"] if (recipe.length, recipe.cell) == (200, "rnn"))
    assert rnn.published is not None
    assert default[f"adding/200/{own}"] == dataclasses.replace(gru, cell=own)
    assert by_rnn[f"adding/200/{own}"] == dataclasses.replace(rnn, cell=own, published=None)
    both = recipes_of(preset="bai", cells=(own,), lengths=("1000",), share=0.5)
    assert [(name, recipe.steps, recipe.hidden_size) for name, recipe in both.items()] == [
        (f"copying/1000/{own}", 1500, 50)
    ]


def test_a_user_defined_task_takes_a_presets_recipes(users: None) -> None:
    recipes = recipes_of(preset="adding", tasks=("preset_users:Task",), cells=("rnn", "gru"), lengths=("100", "750"))
    assert list(recipes) == [f"preset_users:Task/{t}/{cell}" for t in (100, 750) for cell in ("rnn", "gru")]
    assert {(recipe.steps, recipe.published) for recipe in recipes.values()} == {(6000, None)}


def test_an_optimizer_is_given_by_import_path() -> None:
    path = "rnn_jax.training:AdamW(learning_rate=0.001, weight_decay=0.1)"
    (recipe,) = recipes_of(cells=("rnn",), optimizer=path).values()
    assert recipe.optimizer == training.AdamW(0.001, 0.1)


def test_a_share_of_a_preset_is_shorter_and_decays_sooner() -> None:
    whole, half = (plan(long_dependency.Config(preset="bai", share=share))[0].recipe for share in (1.0, 0.5))
    assert whole.optimizer == training.CosineDecay(training.Adam(3e-3), whole.steps)
    assert half.optimizer == training.CosineDecay(training.Adam(3e-3), whole.steps // 2)
    assert dataclasses.replace(half, steps=whole.steps, optimizer=whole.optimizer) == whole
    (few,) = plan(long_dependency.Config(preset="copying", lengths=("100",), cells=("gru_chrono",), share=1e-9))
    assert (few.recipe.steps, few.recipe.evaluate_every) == (1, 1)
