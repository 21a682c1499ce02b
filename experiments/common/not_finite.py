"""Policies for a seed that meets NaN or infinity, by name, for the flag `--not_finite`."""

from rnn_jax import training

POLICIES: dict[str, training.Stop | training.Skip | training.RollBack] = {
    "stop": training.Stop(),
    "skip": training.Skip(),
    "rollback": training.RollBack(),
}
HELP = (
    "Policy for a seed whose loss or gradient is NaN or infinite: stop (keep its last finite parameters), skip (leave "
    "the update out), rollback (return to the log point with its lowest loss, at half the learning rate)."
)
