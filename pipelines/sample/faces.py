"""Faces of cats and dogs.

No single trait decides: both may have upright or folded ears, a light or a dark nose, round pupils, whiskers, a
tongue. Their frequencies and combinations differ. Coat, markings and the scene come from the same distributions for
both.
"""

from typing import Literal

import numpy as np

from headstart.pipelines.sample import face_parts
from headstart.pipelines.sample.face_parts import Coat, EarShape, EyeShape, HeadShape
from headstart.pipelines.sample.pen import Color, Pen, shade
from headstart.pipelines.sample.scene import Figure


def draw_cat(pen: Pen, rng: np.random.Generator) -> None:
    """Draws a cat's face, often wide, with pointed ears, slit pupils, a small nose, a short muzzle and whiskers."""
    coat = face_parts.pick_coat(rng)
    width, height = rng.uniform(0.62, 0.78), rng.uniform(0.54, 0.68)
    face_parts.shoulders(pen, rng, coat)
    ear_root = (width * rng.uniform(0.56, 0.7), -height * 0.66)
    ear_width, lean = rng.uniform(0.38, 0.54), rng.uniform(0.1, 0.5)
    if rng.random() < 0.95:
        length = rng.uniform(0.36, 0.56)
        for side in (-1, 1):
            face_parts.pointed_ear(pen, coat, side, EarShape(ear_root, ear_width, length, lean + rng.normal(0, 0.06)))
    else:
        for side in (-1, 1):
            face_parts.folded_ear(
                pen, coat, side, EarShape(ear_root, ear_width * 0.85, rng.uniform(0.18, 0.28), lean)
            )
    face_parts.head(
        pen,
        rng,
        coat,
        HeadShape(width, height, rng.uniform(0.92, 1.06), rng.uniform(0.7, 1.0), rng.choice([0.0, 0.1])),
    )
    face = face_parts.shift_at_random(pen, rng)
    face_parts.markings(face, rng, coat, width, height)
    pupil: Literal["slit", "round", "dark"] = rng.choice(["slit", "round", "dark"], p=[0.72, 0.22, 0.06])
    eye = (width * rng.uniform(0.42, 0.5), -height * rng.uniform(0.08, 0.22))
    face_parts.eyes(face, rng, coat, EyeShape(eye, rng.uniform(0.12, 0.18), pupil, rng.uniform(0.05, 0.4)))
    _cat_muzzle(face, rng, coat, height)


def _cat_muzzle(pen: Pen, rng: np.random.Generator, coat: Coat, height: float) -> None:
    nose_y = height * rng.uniform(0.14, 0.28)
    pad = rng.uniform(0.1, 0.15)
    for side in (-1, 1):
        pen.ellipse((side * pad * 0.8, nose_y + 0.15), (pad, pad * 0.78), coat.second, edge=False)
    if rng.random() < 0.5:
        pen.ellipse((0.0, nose_y + 0.3), (0.09, 0.07), shade(coat.second, 0.94), edge=False)
    wide = rng.uniform(0.05, 0.085)
    pen.blob([[-wide, nose_y - 0.04], [wide, nose_y - 0.04], [0.0, nose_y + wide * 0.9]], coat.nose)
    face_parts.mouth(pen, coat, (0.0, nose_y + wide * 0.7), pad, rng.uniform(0.04, 0.09))
    if rng.random() < 0.06:
        face_parts.tongue(pen, (0.0, nose_y + 0.22), 0.05, 0.12)
    if rng.random() < 0.94:
        face_parts.whiskers(pen, rng, coat, (pad * 1.3, nose_y + 0.14), rng.uniform(0.35, 0.65))


def draw_dog(pen: Pen, rng: np.random.Generator) -> None:
    """Draws a dog's face, often long, with hanging or folded ears, round pupils, a big nose and a large muzzle."""
    coat = face_parts.pick_coat(rng)
    width, height = rng.uniform(0.52, 0.68), rng.uniform(0.6, 0.78)
    face_parts.shoulders(pen, rng, coat)
    ears = rng.choice(["hanging", "folded", "upright"], p=[0.68, 0.2, 0.12])
    if ears == "upright":
        root = (width * rng.uniform(0.55, 0.72), -height * 0.66)
        size, lean = rng.uniform(0.32, 0.48), rng.uniform(0.05, 0.55)
        length = rng.uniform(0.4, 0.62)
        for side in (-1, 1):
            face_parts.pointed_ear(pen, coat, side, EarShape(root, size, length, lean + rng.normal(0, 0.08)))
    face_parts.head(
        pen,
        rng,
        coat,
        HeadShape(width, height, rng.uniform(0.8, 1.0), rng.uniform(0.8, 1.15), rng.choice([0.0, 0.07])),
    )
    if ears == "folded":
        root = (width * rng.uniform(0.6, 0.78), -height * 0.72)
        size, length, lean = rng.uniform(0.32, 0.46), rng.uniform(0.22, 0.36), rng.uniform(0.1, 0.5)
        for side in (-1, 1):
            face_parts.folded_ear(pen, coat, side, EarShape(root, size, length, lean))
    face = face_parts.shift_at_random(pen, rng)
    face_parts.markings(face, rng, coat, width, height)
    pupil: Literal["slit", "round", "dark"] = rng.choice(["round", "dark"], p=[0.55, 0.45])
    eye = (width * rng.uniform(0.38, 0.5), -height * rng.uniform(0.12, 0.3))
    face_parts.eyes(face, rng, coat, EyeShape(eye, rng.uniform(0.08, 0.12), pupil, rng.uniform(-0.25, 0.1)))
    _dog_muzzle(face, rng, coat, height)
    if ears == "hanging":
        root = (width * rng.uniform(0.74, 0.9), -height * rng.uniform(0.5, 0.78))
        size, length, spread = rng.uniform(0.28, 0.42), rng.uniform(0.6, 1.0), rng.uniform(0.0, 0.3)
        color: Color = shade(coat.base, rng.uniform(0.6, 0.95)) if rng.random() < 0.7 else shade(coat.second, 0.9)
        for side in (-1, 1):
            face_parts.hanging_ear(pen, coat, color, side, EarShape(root, size, length), spread)


def _dog_muzzle(pen: Pen, rng: np.random.Generator, coat: Coat, height: float) -> None:
    wide = rng.uniform(0.28, 0.4)
    top, bottom = height * rng.uniform(-0.05, 0.15), height * rng.uniform(0.78, 1.02)
    nose_y = top + (bottom - top) * rng.uniform(0.14, 0.32)
    nose = rng.uniform(0.12, 0.19)
    if rng.random() < 0.42:
        tip = (rng.uniform(-0.05, 0.05), bottom - 0.16)
        face_parts.tongue(pen, tip, rng.uniform(0.07, 0.11), rng.uniform(0.22, 0.38))
    middle = (top + bottom) / 2
    pen.blob(
        [
            [0.0, top],
            [wide * 0.7, top + 0.1],
            [wide, middle + 0.12],
            [wide * 0.6, bottom - 0.03],
            [0.0, bottom],
            [-wide * 0.6, bottom - 0.03],
            [-wide, middle + 0.12],
            [-wide * 0.7, top + 0.1],
        ],
        coat.second,
    )
    pen.blob(
        [
            [-nose, nose_y - nose * 0.35],
            [0.0, nose_y - nose * 0.6],
            [nose, nose_y - nose * 0.35],
            [nose * 0.5, nose_y + nose * 0.5],
            [-nose * 0.5, nose_y + nose * 0.5],
        ],
        coat.nose,
    )
    pen.ellipse((-nose * 0.3, nose_y - nose * 0.25), (nose * 0.22, nose * 0.12), shade(coat.nose, 1.6), edge=False)
    drop = max(0.06, (bottom - nose_y) * 0.4)
    face_parts.mouth(pen, coat, (0.0, nose_y + nose * 0.4), wide * 0.7, drop)
    if rng.random() < 0.1:
        face_parts.whiskers(pen, rng, coat, (wide * 0.9, nose_y + 0.15), rng.uniform(0.15, 0.35))


FACES: dict[str, Figure] = {"cat": draw_cat, "dog": draw_dog}
