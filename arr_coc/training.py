"""Training, one epoch at a time, and what is asked of a model afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from arr_coc.allocation import PATCHES
from arr_coc.data import Scenes, Source
from arr_coc.model import PATCH, ArrCoc, Reading

STEPS = 40  # batches of an epoch


@dataclass(frozen=True)
class Assessment:
    """How a model does on some scenes. Shares, from 0 to 1, but for the loss."""

    loss: float  #: cross-entropy
    accuracy: float  #: answers that are right
    seen: float  #: patches of the digit asked for that go into any token
    sharp: float  #: patches of the digit asked for that have a token of their own
    spent: float  #: tokens that show something of the digit asked for


def seeded(seed: int) -> None:
    """Make torch repeat itself: first weights, and algorithms that always add in one order."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)


def fit(
    model: ArrCoc,
    source: Source,
    epochs: int,
    batch_size: int,
    lr: float,
    device: torch.device,
    steps: int = STEPS,
) -> Iterator[float]:
    """Train `model`, and yield the mean loss of each epoch, while the model is as it then is.

    An epoch is `steps` batches of scenes that were never seen before. AdamW; the learning rate
    rises to `lr` in the first tenth of all steps and falls to nothing in the rest.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs * steps, pct_start=0.1)
    for epoch in range(epochs):
        total = 0.0
        for step in range(steps):
            scenes = source.scenes("train", batch_size, seed=epoch * steps + step).to(device)
            model.train()
            loss = functional.cross_entropy(model(scenes.image, scenes.query).answer, scenes.label)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        yield total / steps


@torch.no_grad()
def read(model: ArrCoc, scenes: Scenes) -> Reading:
    """What `model` makes of `scenes`, all at once."""
    model.eval()
    return model(scenes.image, scenes.query)  # type: ignore[no-any-return]  # torch's __call__


def assess(model: ArrCoc, scenes: Scenes) -> Assessment:
    """How `model` does on `scenes`: the answers, and where the tokens went."""
    reading = read(model, scenes)
    asked = asked_patches(scenes)
    holds = contents(reading)
    alone = (holds & (holds.sum(1, keepdim=True) == 1)).any(2)
    return Assessment(
        loss=functional.cross_entropy(reading.answer, scenes.label).item(),
        accuracy=(reading.answer.argmax(1) == scenes.label).double().mean().item(),
        seen=holds.any(2)[asked].double().mean().item(),
        sharp=alone[asked].double().mean().item(),
        spent=shows_asked(reading, scenes).double().mean().item(),
    )


def contents(reading: Reading) -> Tensor:
    """Which patches each token holds. bool [n, 64, b]"""
    return reading.allocation.token[..., None] == torch.arange(
        reading.tokens.shape[1], device=reading.tokens.device
    )


def shows_asked(reading: Reading, scenes: Scenes) -> Tensor:
    """Which tokens hold something of the digit that is asked for. bool [n, b]"""
    return (contents(reading) & asked_patches(scenes)[..., None]).any(1)


def asked_patches(scenes: Scenes) -> Tensor:
    """Which patches show the digit that is asked for. bool [n, 64], four in each row"""
    cut = functional.max_pool2d(scenes.asked[:, None].float(), PATCH)
    return cut.reshape(-1, PATCHES).bool()
