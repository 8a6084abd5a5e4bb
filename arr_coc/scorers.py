"""Three views on what is relevant; each gives a score to every patch of a scene.

Scores are standardized over the patches of a scene: mean 0, deviation 1. So the weights by
which they are added mean something, and weight 0 takes a scorer away.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arr_coc.allocation import PATCHES, SIDE


def standardized(score: Tensor) -> Tensor:
    """`score` [n, 64] with mean 0 and deviation 1 in every scene."""
    centred = score - score.mean(1, keepdim=True)
    return centred / (centred.pow(2).mean(1, keepdim=True) + 1e-6).sqrt()


class Information(nn.Module):
    """How much there is in a patch, whatever is asked: of the patch alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, patches: Tensor) -> Tensor:
        """Patches [n, 64, d] to scores [n, 64]."""
        return standardized(self.score(patches).squeeze(2))


class Salience(nn.Module):
    """How much a patch looks like what is asked for: both go through the same features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.LayerNorm(width)
        )

    def forward(self, patches: Tensor, asked: Tensor) -> Tensor:
        """Patches [n, 64, d] and what is asked for [n, d] to scores [n, 64]."""
        return standardized((self.features(patches) @ self.features(asked)[..., None]).squeeze(2))


class Coupling(nn.Module):
    """How relevant the patches are that a patch belongs with.

    Attention from patch to patch, by looks and by distance, over the scores that the other
    scorers have given. It is what can tell a whole digit from a scrap of the same colour.
    """

    apart: Tensor  #: int64 [64, 64], how two patches lie to each other, an index into `distance`

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, 16)
        self.distance = nn.Parameter(torch.zeros(2 * SIDE - 1, 2 * SIDE - 1))
        place = torch.stack(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij"))
        apart = place.reshape(2, PATCHES, 1) - place.reshape(2, 1, PATCHES) + SIDE - 1
        self.register_buffer("apart", apart[0] * (2 * SIDE - 1) + apart[1], persistent=False)
        nn.init.constant_(self.distance[SIDE - 2 : SIDE + 1, SIDE - 2 : SIDE + 1], 3.0)

    def forward(self, patches: Tensor, score: Tensor) -> Tensor:
        """Patches [n, 64, d] and their scores so far [n, 64] to scores [n, 64]."""
        key = self.key(patches)
        alike = key @ key.transpose(1, 2) / key.shape[2] ** 0.5
        share = (alike + self.distance.flatten()[self.apart]).softmax(2)
        return standardized((share @ score[..., None]).squeeze(2))
