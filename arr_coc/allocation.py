"""Who gets how many tokens, and what a token is.

A scene of 32x32 pixels has 64 patches of 4x4, which lie in 16 regions of 2x2 patches. Left
alone, each patch is a token. A budget of fewer is shared out among the regions, nought to four
each. A region with n tokens keeps its n - 1 most relevant patches sharp, one token each, and
merges the rest into the last. A region without a token is not seen.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Allocator = Literal["adaptive", "uniform", "random"]
SIDE = 8  # patches of a scene's side
PATCHES = SIDE * SIDE
REGIONS = 16
EACH = 4  # patches of a region, and the most tokens that it can use

#: [64] the region of each patch, and [16, 4] the patches of each region, in reading order
REGION = (torch.arange(PATCHES) // (2 * SIDE)) * 4 + (torch.arange(PATCHES) % SIDE) // 2
MEMBERS = REGION.argsort(stable=True).reshape(REGIONS, EACH)
#: [16] which regions come first when not all can have one more: any 2, 4, 8 lie evenly spread.
SPREAD = torch.tensor([0, 10, 2, 8, 5, 15, 7, 13, 1, 11, 3, 9, 4, 14, 6, 12])


class Allocation(NamedTuple):
    """How a budget of `b` tokens was spent on `n` scenes."""

    counts: Tensor  #: int64 [n, 16], tokens of each region; each row adds up to b
    token: Tensor  #: int64 [n, 64], the token that each patch goes into, or -1: not seen


def allocate(preference: Tensor, budget: int) -> Allocation:
    """Share out `budget` tokens a scene by `preference` [n, 64], positive, a patch each.

    Among regions by the method of highest averages (D'Hondt's, known from parliaments): the
    k-th token of a region is worth the region's preference divided by k, and the `budget`
    dearest are given. So exactly that many are, about in proportion, none beyond what a region
    can use. Raises ValueError for a budget that is not from 1 to 64.
    """
    if not 1 <= budget <= PATCHES:
        raise ValueError(f"a budget of {budget} tokens: choose 1 to {PATCHES}")
    preference = preference.detach()
    device = preference.device
    inside = preference[:, MEMBERS.to(device)]  # [n, 16, 4]
    worth = inside.sum(2, keepdim=True) / torch.arange(1, EACH + 1, device=device)
    dearest = worth.flatten(1).argsort(dim=1, descending=True, stable=True)[:, :budget]
    counts = torch.nn.functional.one_hot(dearest // EACH, REGIONS).sum(1)

    rank = inside.argsort(dim=2, descending=True, stable=True).argsort(dim=2)
    last = counts[..., None] - 1
    token = (counts.cumsum(1) - counts)[..., None] + torch.minimum(rank, last)
    token = token.masked_fill(last < 0, -1).flatten(1)  # by region; now by patch
    return Allocation(counts, token[:, MEMBERS.flatten().argsort().to(device)])


def indifferent(allocator: Allocator, count: int, draw: torch.Generator) -> Tensor:
    """The preference [n, 64] of who does not look at the scene: evenly spread, or at random."""
    if allocator == "random":
        return torch.empty(count, PATCHES).exponential_(generator=draw)
    order = SPREAD.argsort().float()  # a region's place in the order decides between equals
    return (1 - 1e-3 * order)[REGION].expand(count, PATCHES)


def merge(patches: Tensor, relevance: Tensor, token: Tensor, budget: int) -> tuple[Tensor, Tensor]:
    """Patches [n, 64, d] as tokens [n, b, d], and the tokens' relevance [n, b].

    `token` is an Allocation's. A token is the mean of its patches, weighted by their
    `relevance` [n, 64], and has the sum of it. Both are differentiable in both.
    """
    goes = token[:, None] == torch.arange(budget, device=token.device)[:, None]  # [n, b, 64]
    weight = goes * relevance[:, None]
    total = weight.sum(2)
    return (weight / total[..., None]) @ patches, total
