"""Applies a model that a run with `--save_model` has written: the flags `--load`, `--predict`, `--predict_text`."""

import dataclasses
import sys
from types import ModuleType
from typing import Any

from experiments.common import user_code
from experiments.common.flags import UserError, user_errors
from experiments.common.settings import ModelSettings
from rnn_jax import models
from rnn_jax.applications import Application


def apply(experiment: ModuleType, config: Any, settings: ModelSettings) -> None:
    """Prints the answers of a saved model, one a line.

    Args:
      experiment: package of the command line.
      config: config of the command line, of which only the seed has a meaning here.
      settings: settings with `load`, and with `predict` or `predict_text`.

    Raises:
      UserError: if flags do not fit, the folder has no model of this experiment, or the model cannot read the input.
    """
    settings.checked()
    if config != dataclasses.replace(experiment.Config(), seed=config.seed):
        raise UserError("--load takes the config that was saved with the model: of its flags give none but --seed")
    with user_errors("--load"):
        trained = models.load(str(settings.load))
    config_then = trained.notes.get("config", {})
    written = str(config_then.get("type", "no experiment")).split(":")[0].removesuffix(".config")
    if written != experiment.__name__ or not isinstance(trained.definition, Application):
        raise UserError(f"--load={settings.load} must be a model of {experiment.__name__}, got one of {written}")
    application = trained.definition
    for name, digest in user_code.digests(config_then).items():
        if config_then.get(name) not in (None, digest):
            print(f"{settings.load}: {name} has changed since the training", file=sys.stderr)
    with user_errors("--predict" if settings.predict_text is None else "--predict_text"):
        text, path = settings.predict_text, settings.predict
        inputs = application.read(str(path)) if text is None else application.from_text(text)
        answers = trained.predict(inputs, seed=config.seed)
    for line in application.lines(inputs, answers):
        print(line)
