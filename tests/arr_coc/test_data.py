"""Scenes: honest ones, and the same every time."""

import numpy as np
import pytest
import torch

from arr_coc import data
from arr_coc.training import asked_patches


@pytest.fixture(scope="module")
def source():
    return data.Source(0)


def test_shapes_and_ranges(source):
    scenes = source.scenes("train", 50)
    assert scenes.image.shape == (50, 3, 32, 32)
    assert scenes.image.min() >= 0
    assert scenes.image.max() <= 1
    assert scenes.query.shape == scenes.label.shape == (50,)
    assert set(scenes.query.tolist()) <= set(range(6))
    assert (scenes.asked.sum((1, 2)) == 64).all()
    assert (asked_patches(scenes).sum(1) == 4).all()


def test_the_same_seed_makes_the_same_scenes(source):
    first, again = source.scenes("test", 9, 4), data.Source(0).scenes("test", 9, 4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.image, source.scenes("test", 9, 5).image)
    assert not torch.equal(first.image, data.Source(1).scenes("test", 9, 4).image)


def test_no_digit_and_no_pixel_of_a_photograph_is_in_two_parts(source):
    digits = {part: {d.numpy().tobytes() for d in source._digits[part][0]} for part in data.PARTS}
    photos = [source._photos[part].shape[2] for part in data.PARTS]
    assert sum(len(d) for d in digits.values()) == len(set().union(*digits.values())) == 1797
    assert sum(photos) == 320
    assert min(photos) > data.SIZE


def test_the_asked_digit_is_there_in_its_colour(source):
    scenes = source.scenes("test", 30)
    for image, query, asked in zip(scenes.image, scenes.query, scenes.asked, strict=True):
        colour = np.array(list(data.COLOURS.values())[query])
        inside = image[:, asked].T.numpy()
        assert np.abs(inside - colour).sum(1).min() < 0.01  # full ink somewhere


def test_what_is_relevant_differs_from_scene_to_scene(source):
    places = asked_patches(source.scenes("train", 200)).int()
    assert len({tuple(place.tolist()) for place in places}) > 30
    assert set(source.scenes("train", 200).label.tolist()) == set(range(10))


def test_the_files_are_there():
    assert [path.is_file() for path in data.files()] == [True] * 3
