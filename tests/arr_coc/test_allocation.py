"""Budgets are kept to the token, whoever shares them out."""

import pytest
import torch

from arr_coc.allocation import EACH, MEMBERS, PATCHES, REGION, REGIONS, allocate, indifferent, merge

SCENES = 20
ALLOCATORS = ("adaptive", "uniform", "random")


def preference(allocator):
    draw = torch.Generator().manual_seed(3)
    if allocator == "adaptive":  # some much more relevant than others, as a softmax makes them
        return (4 * torch.randn(SCENES, PATCHES, generator=draw)).softmax(1)
    return indifferent(allocator, SCENES, draw)


@pytest.mark.parametrize("budget", [1, 3, 8, 16, 31, 63, 64])
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_every_scene_costs_exactly_the_budget(allocator, budget):
    counts, token = allocate(preference(allocator), budget)
    assert (counts.sum(1) == budget).all()
    assert counts.min() >= 0
    assert counts.max() <= EACH
    used = [set(row[row >= 0].tolist()) for row in token]
    assert used == [set(range(budget))] * SCENES  # each token that is paid for holds something


def test_a_token_holds_patches_of_one_region_and_the_most_relevant_are_sharp():
    wanted = preference("adaptive")
    counts, token = allocate(wanted, 24)
    for scene in range(SCENES):
        for region in range(REGIONS):
            patches = MEMBERS[region]
            goes = token[scene, patches]
            n = int(counts[scene, region])
            assert len(set(goes.tolist()) - {-1}) == n
            assert (goes == -1).all() == (n == 0)
            best = patches[wanted[scene, patches].argsort(descending=True)][: max(n - 1, 0)]
            assert all((token[scene] == token[scene, patch]).sum() == 1 for patch in best)
    assert torch.equal(REGION[MEMBERS], torch.arange(REGIONS)[:, None].expand(-1, EACH))


def test_more_goes_where_more_is_preferred():
    wanted = torch.full((1, PATCHES), 1e-6)
    wanted[0, MEMBERS[5]] = 0.15  # 0.6 together
    wanted[0, MEMBERS[9]] = 0.05  # 0.2 together
    assert allocate(wanted, 4).counts[0, [5, 9]].tolist() == [3, 1]  # as 0.6 / 3 ties 0.2
    assert allocate(wanted, 5).counts[0, [5, 9]].tolist() == [4, 1]


def test_uniform_spreads_evenly_and_looks_at_no_scene():
    counts = allocate(preference("uniform"), 8).counts
    assert (counts == counts[0]).all()
    board = counts[0].reshape(4, 4)
    assert (board.sum(0) == 2).all() and (board.sum(1) == 2).all()
    assert (allocate(preference("uniform"), 32).counts == 2).all()


def test_random_differs_from_scene_to_scene_and_repeats_by_seed():
    counts = allocate(preference("random"), 8).counts
    assert (counts != counts[0]).any()
    assert torch.equal(counts, allocate(preference("random"), 8).counts)


@pytest.mark.parametrize("budget", [0, 65])
def test_an_impossible_budget_is_refused(budget):
    with pytest.raises(ValueError, match="choose 1 to 64"):
        allocate(preference("uniform"), budget)


def test_a_token_is_the_weighted_mean_of_its_patches():
    wanted = preference("adaptive")
    patches = torch.randn(SCENES, PATCHES, 5, generator=torch.Generator().manual_seed(0))
    token = allocate(wanted, 10).token
    tokens, worth = merge(patches, wanted, token, 10)
    for scene, number in ((0, 0), (3, 9), (19, 4)):
        inside = token[scene] == number
        weight = wanted[scene, inside]
        expected = (weight[:, None] * patches[scene, inside]).sum(0) / weight.sum()
        torch.testing.assert_close(tokens[scene, number], expected)
        torch.testing.assert_close(worth[scene, number], weight.sum())
