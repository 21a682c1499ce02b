"""`--engine`: the flag's engine is the one that trains, and one that can't is refused before anything is written."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import char_lm, gradient_norms, long_dependency
from experiments.common.flags import UserError
from rnn_jax import BPTT, engines

EXPERIMENTS = {
    "gradient_norms": (gradient_norms, lambda plan: plan[0].trainer),
    "long_dependency": (long_dependency, lambda plan: plan[0].trainer),
    "char_lm": (char_lm, lambda plan: plan.trainer),
}


def plan(name: str, **fields: Any) -> Any:
    module, trainer = EXPERIMENTS[name]
    return trainer(module.plan(dataclasses.replace(module.QUICK, **fields)))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_engine_is_the_trainers(name: str) -> None:
    assert plan(name).estimator == BPTT()
    assert plan(name, engine="Checkpointed").estimator == BPTT(engines.Checkpointed())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_engine_that_cannot_train_the_cell_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot be used: TypeError: Associative: cell must be linear in its state"):
        plan(name, engine="Associative")
    with pytest.raises(UserError, match=r"--engine must be one of Associative, .*, got 'cudnn'"):
        plan(name, engine="cudnn")


@pytest.mark.extended
def test_every_engine_trains_alike(tmp_path: Path) -> None:
    losses = []
    for engine in ("Hoisted", "Scan"):
        config = dataclasses.replace(
            long_dependency.QUICK, cells=("rnn",), steps=4, evaluate_every=2, seeds=1, engine=engine
        )
        long_dependency.run(config, str(tmp_path / engine))
        (record,) = json.loads((tmp_path / engine / "results.json").read_text(encoding="utf-8"))["results"]
        losses.append(record["after/loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    with pytest.raises(UserError, match=r"engine: \"Scan\" there, \"Hoisted\" here"):
        long_dependency.run(dataclasses.replace(config, engine="Hoisted"), str(tmp_path / "Scan"))
