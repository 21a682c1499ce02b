"""A training loop as one writes it in PyTorch: the adding problem, an LSTM, clipping, Adam."""

import torch

from experiments.throughput.timing import Call


def loop(
    device: str, seed: int, steps: int, batch: int, length: int, hidden: int, learning_rate: float, clip_norm: float
) -> Call:
    """A call that makes `steps` more optimization steps of one seed and returns the last loss, read from the device.

    The same as `training.Trainer` on `tasks.Adding`, but that the readout runs at the last step only, which is all that
    the loss reads.
    """
    generator = torch.Generator(device).manual_seed(seed)
    core = torch.nn.LSTM(2, hidden, device=device)
    readout = torch.nn.Linear(hidden, 1, device=device)
    parameters = [*core.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)

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
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
            optimizer.step()
        return loss.item()

    return run
