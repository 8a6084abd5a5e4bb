"""The model: shapes, what reaches the answer, what learns, and that it repeats itself."""

import pytest
import torch

from arr_coc import training
from arr_coc.data import Source
from arr_coc.model import PATCH, ArrCoc, Settings, patches

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scenes():
    return Source(0).scenes("val", 12)


def model(seed=0, **settings):
    torch.manual_seed(seed)
    return ArrCoc(Settings(**settings), seed)


@pytest.mark.parametrize("allocator", ["adaptive", "uniform", "random"])
def test_shapes(scenes, allocator):
    reading = training.read(model(budget=7, allocator=allocator, width=32), scenes)
    assert reading.answer.shape == (12, 10)
    assert reading.relevance.shape == (12, 64)
    assert reading.tokens.shape == (12, 7, 32)
    assert (reading.allocation.counts.sum(1) == 7).all()
    torch.testing.assert_close(reading.relevance.sum(1), torch.ones(12))


def test_patches_are_cut_in_reading_order(scenes):
    cut = patches(scenes.image)
    corner = 2 * scenes.image[:, :, 4:8, 8:12] - 1  # the second row, the third patch
    torch.testing.assert_close(cut[:, 8 + 2].reshape(-1, 3, PATCH, PATCH), corner)


def test_all_allocators_have_the_same_weights_and_budget(scenes):
    made = {name: model(allocator=name, budget=9) for name in ("adaptive", "uniform", "random")}
    first = made["adaptive"].state_dict()
    for other in made.values():
        assert all(torch.equal(first[name], value) for name, value in other.state_dict().items())
        assert training.read(other, scenes).tokens.shape[1] == 9


def test_a_patch_that_is_not_paid_for_does_not_reach_the_answer(scenes):
    blind = model(budget=4, allocator="uniform", information=0, salience=0, coupling=0)
    before = training.read(blind, scenes)
    unseen = (before.allocation.token[0] == -1).reshape(8, 8)
    assert unseen.sum() == 48
    hidden = unseen.repeat_interleave(PATCH, 0).repeat_interleave(PATCH, 1)
    other = scenes._replace(image=torch.where(hidden, 1 - scenes.image, scenes.image))
    assert torch.equal(before.answer, training.read(blind, other).answer)
    seen = scenes._replace(image=torch.where(hidden, scenes.image, 1 - scenes.image))
    assert not torch.equal(before.answer, training.read(blind, seen).answer)


@pytest.mark.parametrize("allocator", ["adaptive", "uniform"])
def test_the_answer_teaches_every_scorer(scenes, allocator):
    made = model(budget=6, allocator=allocator)
    answer = made(scenes.image, scenes.query).answer
    torch.nn.functional.cross_entropy(answer, scenes.label).backward()
    for scorer in ("information", "salience", "coupling"):
        for name, weight in getattr(made, scorer).named_parameters():
            if name != "score.2.bias":  # standardized away: a score is relative
                assert weight.grad.abs().sum() > 0, f"{scorer}.{name}"


@pytest.mark.parametrize("scorer", ["information", "salience", "coupling"])
def test_a_scorer_of_weight_0_has_no_say(scenes, scorer):
    made = model(**{scorer: 0.0})
    before = training.read(made, scenes)
    for weight in getattr(made, scorer).parameters():
        torch.nn.init.normal_(weight)
    after = training.read(made, scenes)
    assert torch.equal(before.relevance, after.relevance)
    assert torch.equal(before.answer, after.answer)


def test_another_question_moves_the_tokens(scenes):
    made = model(budget=8)
    other = scenes._replace(query=(scenes.query + 1) % 6)
    before, after = (training.read(made, s).allocation.counts for s in (scenes, other))
    assert (before != after).any(1).sum() > 6


def test_the_same_seed_learns_the_same():
    def trained(seed):
        training.seeded(seed)
        made = ArrCoc(Settings(budget=8, width=16), seed)
        source = Source(seed)
        losses = training.fit(made, source, epochs=2, batch_size=8, lr=3e-3, device=CPU, steps=4)
        return list(losses), made.state_dict()

    try:
        (losses, weights), (again, same), (other, _) = trained(1), trained(1), trained(2)
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert losses == again != other
    assert all(torch.equal(value, same[name]) for name, value in weights.items())


def test_where_the_tokens_went_is_counted(scenes):
    everything = training.assess(model(budget=64), scenes)
    assert (everything.seen, everything.sharp) == (1, 1)
    assert everything.spent == 4 / 64
    coarse = training.assess(model(budget=16, allocator="uniform"), scenes)
    assert (coarse.seen, coarse.sharp) == (1, 0)  # a token a region: all seen, none alone
