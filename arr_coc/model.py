"""The model: patches, how relevant they are, a budget spent on them, and the answer.

What a token knows is its own patches alone: nothing of a patch reaches the answer but through
a token that was paid for. The scorers look at all patches, and say one number of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from arr_coc.allocation import PATCHES, SIDE, Allocation, Allocator, allocate, indifferent, merge
from arr_coc.data import CLASSES, COLOURS, SIZE
from arr_coc.scorers import Coupling, Information, Salience

PATCH = SIZE // SIDE  # pixels of a patch's side


@dataclass(frozen=True)
class Settings:
    """What a model is made by."""

    budget: int = 16  #: tokens for a scene, 1 to 64
    allocator: Allocator = "adaptive"  #: who shares them out
    information: float = 1.0  #: weight of a scorer; 0 takes it away
    salience: float = 1.0
    coupling: float = 1.0
    explore: float = 0.5  #: noise on the scores while training, so that others get a chance
    width: int = 48  #: features of a token
    depth: int = 2  #: layers of attention that read the tokens


class Reading(NamedTuple):
    """What a model makes of `n` scenes with a budget of `b`."""

    answer: Tensor  #: float [n, 10], before softmax
    relevance: Tensor  #: float [n, 64], positive; each scene's adds up to 1
    allocation: Allocation
    tokens: Tensor  #: float [n, b, d], as they are bought


class ArrCoc(nn.Module):
    """Scenes and questions in, answers out, `budget` tokens a scene in between.

    All allocators are the same network with the same weights, and all are told how relevant a
    token is. They differ in who is asked when the tokens are shared out.
    """

    colours: Tensor  #: float [6, 3]

    def __init__(self, settings: Settings, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        width = settings.width
        self.encoder = nn.Sequential(
            nn.Linear(3 * PATCH * PATCH, width), nn.GELU(), nn.Linear(width, width)
        )
        self.place = nn.Parameter(0.3 * torch.randn(PATCHES, width))
        self.register_buffer("colours", torch.tensor(list(COLOURS.values())), persistent=False)
        self.information = Information(width)
        self.salience = Salience(width)
        self.coupling = Coupling(width)
        self.gain = nn.Parameter(torch.tensor(1.0))  # how sharp, is learned
        self.layers = nn.ModuleList(Layer(width) for _ in range(settings.depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CLASSES))
        self._draw = torch.Generator().manual_seed(seed)  # on the CPU: the same on a GPU

    def forward(self, image: Tensor, query: Tensor) -> Reading:
        """Images [n, 3, 32, 32] and questions [n] to a Reading."""
        swatch = 2 * self.colours[query] - 1  # the question is shown: a patch of that colour
        asked = self.encoder(swatch.repeat_interleave(PATCH * PATCH, 1))  # [n, d]
        looks = self.encoder(patches(image))  # [n, 64, d]
        score = self.score(looks, asked)
        relevance = score.softmax(1)
        allocation = allocate(self._preference(score), self.settings.budget)
        tokens, worth = merge(looks + self.place, relevance, allocation.token, self.settings.budget)
        state = torch.cat([asked[:, None], tokens], 1)
        bias = torch.cat([torch.zeros_like(worth[:, :1]), (PATCHES * worth + 1e-6).log()], 1)
        for layer in self.layers:
            state = layer(state, bias)
        heard = (worth[:, None] @ state[:, 1:]).squeeze(1) / worth.sum(1, keepdim=True)
        heard = state[:, 0] + heard
        return Reading(self.head(heard), relevance, allocation, tokens)

    def score(self, looks: Tensor, asked: Tensor) -> Tensor:
        """Encoded patches [n, 64, d] and query [n, d] to the weighted sum of scores [n, 64]."""
        settings = self.settings
        total: Tensor = settings.information * self.information(looks)
        total = total + settings.salience * self.salience(looks, asked)
        if settings.coupling:
            total = total + settings.coupling * self.coupling(looks, total)
        return self.gain * total

    def _preference(self, score: Tensor) -> Tensor:
        """What the budget is shared out by. [n, 64]"""
        if self.settings.allocator != "adaptive":
            return indifferent(self.settings.allocator, len(score), self._draw).to(score.device)
        if self.training and self.settings.explore:
            noise = -torch.empty(score.shape).exponential_(generator=self._draw).log()  # Gumbel
            score = score + self.settings.explore * noise.to(score.device)
        return score.softmax(1)


class Layer(nn.Module):
    """Attention among tokens, in which each counts as its relevance says; then each alone."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.alone = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, state: Tensor, bias: Tensor) -> Tensor:
        """States [n, t, d] and the log relevance of each [n, t] to states [n, t, d]."""
        count, length, width = state.shape
        mixed = self.mix(self.before(state)).reshape(count, length, 3, self.heads, -1)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)  # [n, heads, t, d / heads] each
        match = query @ key.transpose(2, 3) / key.shape[3] ** 0.5 + bias[:, None, None]
        heard = (match.softmax(3) @ value).transpose(1, 2).reshape(count, length, width)
        state = state + self.out(heard)
        state = state + self.alone(state)
        return state


def patches(image: Tensor) -> Tensor:
    """Images [n, 3, 32, 32] cut into patches [n, 64, 48], in reading order, around 0."""
    cut = image.reshape(-1, 3, SIDE, PATCH, SIDE, PATCH)
    return (2 * cut - 1).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
