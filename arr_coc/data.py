"""Scenes: a few coloured digits among clutter on a photograph, and a question.

The question is a colour, the answer is the digit that is drawn in it. Digits of other colours
and scraps of digits, some of them in the colour that is asked for, are in the way. Everything
ships with scikit-learn: its 1,797 digits of 8x8 pixels, and its two photographs.

Nothing is shared between the parts "train", "val" and "test": not a digit, and not a pixel of
a photograph. The same seed makes the same scenes.
"""

from __future__ import annotations

from importlib.resources import files as files_of
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")

SIZE = 32  # pixels of a scene's side
DIGIT = 8  # pixels of a digit's side
GRID = 4  # pixels: everything is drawn on the grid of patches
CELLS = 9  # places for a digit or a scrap: three by three, one thing in each
CLASSES = 10
COLOURS = {
    "red": (1.0, 0.25, 0.2),
    "green": (0.25, 0.9, 0.3),
    "blue": (0.3, 0.45, 1.0),
    "yellow": (1.0, 0.9, 0.2),
    "magenta": (0.95, 0.3, 0.9),
    "cyan": (0.25, 0.9, 0.95),
}
_COLOURS = torch.tensor(list(COLOURS.values()))


class Scenes(NamedTuple):
    """`n` scenes with their questions."""

    image: Tensor  #: float [n, 3, 32, 32], from 0 to 1
    query: Tensor  #: int64 [n], the colour that is asked for, an index into COLOURS
    label: Tensor  #: int64 [n], the digit of that colour
    asked: Tensor  #: bool [n, 32, 32], the 8x8 pixels of that digit; no model sees this

    def to(self, device: torch.device) -> Scenes:
        """The same scenes on `device`."""
        return Scenes(*(part.to(device) for part in self))


def files() -> list[Path]:
    """The files of scikit-learn that all scenes are made of."""
    return [
        Path(str(files_of("sklearn.datasets") / name))
        for name in ("data/digits.csv.gz", "images/china.jpg", "images/flower.jpg")
    ]


class Source:
    """What scenes are made of, each part with digits and stretches of photographs of its own."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        ink, label = load_digits(return_X_y=True)
        order = np.random.default_rng(seed).permutation(len(label))
        cuts = [int(0.7 * len(order)), int(0.8 * len(order))]  # 70, 10 and 20 percent
        self._digits = {
            part: (
                torch.tensor(ink[picked] / 16, dtype=torch.float32).reshape(-1, DIGIT, DIGIT),
                torch.tensor(label[picked]),
            )
            for part, picked in zip(PARTS, np.split(order, cuts), strict=True)
        }
        # Every second pixel, so that a scene has something in it; by columns, as the digits.
        photos = torch.tensor(np.stack(load_sample_images().images)[:, ::2, ::2] / 255)
        width = photos.shape[2]
        stretches = zip(PARTS, [0, 0.7 * width, 0.85 * width], [0.7, 0.85, 1], strict=True)
        self._photos = {
            part: photos[:, :, int(left) : int(right * width)].float()
            for part, left, right in stretches
        }

    def scenes(self, part: Part, count: int, seed: int = 0) -> Scenes:
        """`count` scenes of `part`; another `seed` makes others.

        Each has two to four digits of different colours, one of them asked for, and two to
        five scraps, in nine cells of three rows and three columns, whose places vary.
        """
        entropy = np.random.SeedSequence([self.seed, PARTS.index(part), seed])
        draw = torch.Generator().manual_seed(int(entropy.generate_state(1)[0]))

        def integers(high: int, *shape: int) -> Tensor:
            return torch.randint(high, shape, generator=draw)

        def shuffled(things: int) -> Tensor:
            return torch.rand(count, things, generator=draw).argsort(1)

        inks, labels = self._digits[part]
        digits = 2 + integers(3, count, 1)  # slots before this one hold digits
        things = digits + 2 + integers(4, count, 1)  # slots before this one hold scraps
        slot = torch.arange(CELLS)[None]
        picked = integers(len(labels), count, CELLS)
        ink = inks[picked]  # [n, 9, 8, 8]

        quarter = torch.zeros(4, 2, 4, 2, 4)  # a scrap is one quarter of a digit
        for number in range(4):
            quarter[number, number // 2, :, number % 2] = 1
        scrap = quarter.reshape(4, DIGIT, DIGIT)[integers(4, count, CELLS)]
        ink = torch.where((slot < digits)[..., None, None], ink, ink * scrap)
        ink = ink * (slot < things)[..., None, None]

        colour = shuffled(len(COLOURS))  # the digits' colours differ; the first is asked for
        query = colour[:, 0]
        scraps = integers(len(COLOURS), count, CELLS)
        same = integers(2, count, CELLS) == 0  # every second scrap has the colour asked for
        scraps = torch.where(same, query[:, None], scraps)
        colour = torch.cat([colour, scraps[:, : CELLS - len(COLOURS)]], 1)
        colour = torch.where(slot < digits, colour, scraps)

        cell = shuffled(CELLS)
        slack = integers(3, 2, count, 3).sort(2).values  # rows of cells, and columns, move apart
        start = GRID * (2 * torch.arange(3) + slack)
        top, left = start[0].gather(1, cell // 3), start[1].gather(1, cell % 3)
        pixel = torch.arange(DIGIT)
        rows = (top[..., None, None] + pixel[:, None]).expand_as(ink)
        columns = (left[..., None, None] + pixel).expand_as(ink)
        scene = torch.arange(count)[:, None, None, None].expand_as(ink)

        image = self._background(part, count, draw)  # [n, 32, 32, 3]
        paint = _COLOURS[colour][:, :, None, None] * ink[..., None]
        image[scene, rows, columns] = image[scene, rows, columns] * (1 - ink[..., None]) + paint
        asked = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
        asked[scene[:, 0], rows[:, 0], columns[:, 0]] = True
        return Scenes(image.permute(0, 3, 1, 2).contiguous(), query, labels[picked[:, 0]], asked)

    def _background(self, part: Part, count: int, draw: torch.Generator) -> Tensor:
        """Pieces of the photographs, half as bright. [n, 32, 32, 3]"""
        photos = self._photos[part]
        photo = torch.randint(len(photos), (count, 1, 1), generator=draw)
        top = torch.randint(photos.shape[1] - SIZE + 1, (count, 1, 1), generator=draw)
        left = torch.randint(photos.shape[2] - SIZE + 1, (count, 1, 1), generator=draw)
        pixel = torch.arange(SIZE)
        return 0.5 * photos[photo, top + pixel[:, None], left + pixel]
