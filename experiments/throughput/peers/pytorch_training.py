"""A training loop as one writes it in PyTorch: the adding problem, an LSTM, clipping, Adam."""

import torch

from experiments.throughput.timing import Call
from rnn_jax import Adding, training


def loop(device: str, seed: int, task: Adding, trainer: training.Trainer, steps: int) -> Call:
    """A call that makes `steps` more optimization steps of one seed and returns the last loss, read from the device.

    The same as `training.run(trainer, task, ...)`, but that the readout runs at the last step only, which is all that
    the loss reads.
    """
    length, batch, hidden = task.length, trainer.batch_size, trainer.model.cell.hidden_size
    assert isinstance(trainer.clip, training.ClipByNorm)  # the one way of clipping that is written out below
    limit = trainer.clip.limit
    generator = torch.Generator(device).manual_seed(seed)
    core = torch.nn.LSTM(task.input_size, hidden, device=device)
    readout = torch.nn.Linear(hidden, task.output_size, device=device)
    parameters = [*core.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=trainer.optimizer.learning_rate)

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        values = torch.rand(length, batch, generator=generator, device=device)
        first = torch.randint(0, length // 2, (1, batch), generator=generator, device=device)
        second = torch.randint(length // 2, length, (1, batch), generator=generator, device=device)
        marks = torch.zeros_like(values).scatter_(0, torch.cat([first, second]), 1.0)
        return torch.stack([values, marks], dim=-1), (values * marks).sum(0)

    def run() -> float:
        for _ in range(steps):
            xs, targets = draw()
            optimizer.zero_grad()
            outputs = readout(core(xs)[0][-1])
            loss = torch.nn.functional.mse_loss(outputs[:, 0], targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, limit)
            optimizer.step()
        return loss.item()

    return run
