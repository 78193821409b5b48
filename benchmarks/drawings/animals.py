"""Drawings of animal faces for pretraining, without cats and dogs."""

import numpy as np

from headstart.pipelines.sample import face_parts
from headstart.pipelines.sample.face_parts import Coat, EarShape, EyeShape, HeadShape
from headstart.pipelines.sample.pen import Color, Pen, mix, rotate, shade
from headstart.pipelines.sample.scene import Figure, pick_color

_SIDES = (-1, 1)
_HORN: Color = (206, 190, 156)


def _round_eyes(pen: Pen, rng: np.random.Generator, coat: Coat, x: float, y: float) -> None:
    pupil = rng.choice(["round", "dark"])
    face_parts.eyes(pen, rng, coat, EyeShape((x * rng.uniform(0.9, 1.1), y), rng.uniform(0.08, 0.13), pupil))


def _round_ear(pen: Pen, coat: Coat, side: int, center: tuple[float, float], radius: float) -> None:
    """Draws an ear as a disc with a smaller disc in it."""
    middle = (side * center[0], center[1])
    pen.ellipse(middle, (radius, radius), shade(coat.base, 0.92))
    pen.ellipse(middle, (radius * 0.6, radius * 0.6), coat.inner, edge=False)


def draw_rabbit(pen: Pen, rng: np.random.Generator) -> None:
    """Very long upright ears, one of them bent at times, and two front teeth."""
    coat = face_parts.pick_coat(rng)
    width, height = rng.uniform(0.48, 0.6), rng.uniform(0.5, 0.6)
    face_parts.shoulders(pen, rng, coat)
    length = rng.uniform(0.5, 0.8)
    for side in _SIDES:
        lean = rng.uniform(-0.05, 0.45)
        for scale, color in ((1.0, shade(coat.base, 0.92)), (0.62, coat.inner)):
            center = rotate([[0.0, -length * 0.6]], lean)[0] + [0.2, -0.32]
            pen.ellipse((side * center[0], center[1]), (0.15 * scale, length * 0.68 * scale), color, side * lean)
    face_parts.head(pen, rng, coat, HeadShape(width, height, 1.05, 1.0))
    face = face_parts.shift_at_random(pen, rng)
    face_parts.markings(face, rng, coat, width, height)
    _round_eyes(face, rng, coat, 0.26, -0.1)
    for side in _SIDES:
        face.ellipse((side * 0.1, 0.28), (0.13, 0.1), coat.second, edge=False)
    face.polygon([[-0.07, 0.32], [0.07, 0.32], [0.06, 0.46], [-0.06, 0.46]], (246, 244, 236))
    face.blob([[-0.07, 0.14], [0.07, 0.14], [0.0, 0.21]], coat.nose)
    face_parts.mouth(face, coat, (0.0, 0.2), 0.12, 0.09)


def draw_bear(pen: Pen, rng: np.random.Generator) -> None:
    """Small round ears and a round light muzzle."""
    coat = face_parts.pick_coat(rng)
    width, height = rng.uniform(0.64, 0.76), rng.uniform(0.58, 0.68)
    face_parts.shoulders(pen, rng, coat)
    for side in _SIDES:
        _round_ear(pen, coat, side, (width * 0.72, -height * 0.74), rng.uniform(0.17, 0.24))
    face_parts.head(pen, rng, coat, HeadShape(width, height, 1.0, 1.1))
    face = face_parts.shift_at_random(pen, rng)
    _round_eyes(face, rng, coat, 0.27, -0.12)
    face.ellipse((0.0, 0.28), (rng.uniform(0.24, 0.32), 0.22), coat.second)
    face.ellipse((0.0, 0.17), (0.12, 0.08), coat.nose)
    face_parts.mouth(face, coat, (0.0, 0.24), 0.12, 0.08)


def draw_pig(pen: Pen, rng: np.random.Generator) -> None:
    """A disc of a snout with two nostrils; ears that tip over."""
    coat = face_parts.pick_coat(rng, (*face_parts.FUR, (238, 170, 164), (232, 186, 176)))
    width, height = rng.uniform(0.62, 0.74), rng.uniform(0.56, 0.68)
    face_parts.shoulders(pen, rng, coat)
    face_parts.head(pen, rng, coat, HeadShape(width, height, 1.05, 1.15))
    for side in _SIDES:
        face_parts.folded_ear(
            pen, coat, side, EarShape((width * 0.66, -height * 0.74), 0.36, rng.uniform(0.2, 0.32), 0.4)
        )
    face = face_parts.shift_at_random(pen, rng)
    _round_eyes(face, rng, coat, 0.3, -0.12)
    snout = mix(coat.base, (230, 140, 140), 0.4)
    wide = rng.uniform(0.22, 0.3)
    face.ellipse((0.0, 0.2), (wide, wide * 0.74), snout)
    for side in _SIDES:
        face.ellipse((side * wide * 0.4, 0.2), (wide * 0.16, wide * 0.28), shade(snout, 0.5), edge=False)
    face.curve([[-0.18, 0.48], [0.0, 0.54], [0.18, 0.48]], coat.line, 0.03)


def draw_mouse(pen: Pen, rng: np.random.Generator) -> None:
    """Huge round ears, a face that narrows to a little nose, whiskers."""
    coat = face_parts.pick_coat(rng)
    width, height = rng.uniform(0.46, 0.56), rng.uniform(0.5, 0.58)
    face_parts.shoulders(pen, rng, coat)
    for side in _SIDES:
        _round_ear(pen, coat, side, (rng.uniform(0.5, 0.6), -0.5), rng.uniform(0.3, 0.4))
    face_parts.head(pen, rng, coat, HeadShape(width, height, 0.9, 0.4))
    face = face_parts.shift_at_random(pen, rng)
    _round_eyes(face, rng, coat, 0.22, -0.08)
    face_parts.whiskers(face, rng, coat, (0.1, 0.36), rng.uniform(0.3, 0.5))
    face.ellipse((0.0, 0.34), (0.08, 0.07), coat.nose)
    face_parts.mouth(face, coat, (0.0, 0.4), 0.08, 0.05)


def draw_owl(pen: Pen, rng: np.random.Generator) -> None:
    """Large discs round the eyes, a beak, feathered breast and at times tufts."""
    coat = face_parts.pick_coat(rng)
    face_parts.shoulders(pen, rng, coat)
    if rng.random() < 0.6:
        for side in _SIDES:
            face_parts.pointed_ear(
                pen,
                coat,
                side,
                EarShape((0.46, -0.48), 0.3, rng.uniform(0.2, 0.36), rng.uniform(0.3, 0.7)),
            )
    face_parts.head(pen, rng, coat, HeadShape(rng.uniform(0.62, 0.74), 0.64, 1.0, 1.1))
    for row in range(3):
        for column in range(-2, 3):
            x = column * 0.17 + (row % 2) * 0.08
            pen.curve(
                [[x - 0.07, 0.76 + row * 0.14], [x, 0.83 + row * 0.14], [x + 0.07, 0.76 + row * 0.14]],
                coat.second,
                0.03,
            )
    disc = rng.uniform(0.25, 0.32)
    for side in _SIDES:
        pen.ellipse((side * 0.27, -0.08), (disc, disc), coat.second)
    face_parts.eyes(pen, rng, coat, EyeShape((0.25, -0.08), rng.uniform(0.13, 0.18), "round"))
    pen.polygon([[-0.08, 0.06], [0.08, 0.06], [0.0, 0.3]], (222, 168, 70))


def draw_fox(pen: Pen, rng: np.random.Generator) -> None:
    """Large pointed ears, pale cheeks that end in points, a narrow chin with a dark nose at its tip."""
    coat = face_parts.pick_coat(rng)
    face_parts.shoulders(pen, rng, coat)
    for side in _SIDES:
        face_parts.pointed_ear(
            pen, coat, side, EarShape((0.4, -0.36), rng.uniform(0.36, 0.48), rng.uniform(0.42, 0.6), 0.25)
        )
    wide = rng.uniform(0.68, 0.84)
    outline = np.array([[0.0, -0.5], [0.5, -0.42], [wide, 0.08], [0.4, 0.32], [0.1, 0.66], [0.0, 0.7]])
    mirrored = outline[-2:0:-1] * [-1.0, 1.0]
    pen.polygon(np.concatenate([outline, mirrored]), coat.base)
    pale = mix(coat.second, (248, 244, 236), 0.6)
    cheek = np.array([[0.07, 0.2], [0.3, 0.08], [wide * 0.95, 0.08], [0.38, 0.3], [0.1, 0.6], [0.02, 0.6]])
    face = face_parts.shift_at_random(pen, rng, 0.06)
    for side in _SIDES:
        face.polygon(cheek * [side, 1.0], pale, edge=False)
    face_parts.eyes(
        face,
        rng,
        coat,
        EyeShape((0.27, -0.06), rng.uniform(0.08, 0.12), rng.choice(["slit", "dark"]), 0.35),
    )
    face.ellipse((0.0, 0.58), (0.1, 0.08), (44, 38, 40))


def draw_frog(pen: Pen, rng: np.random.Generator) -> None:
    """Eyes on top of a wide head, and a mouth from side to side."""
    skin = pick_color(rng) if rng.random() < 0.5 else shade((110, 170, 80), float(rng.uniform(0.7, 1.2)))
    coat = Coat(skin, mix(skin, (240, 240, 200), 0.5), skin, (220, 190, 80), skin)
    face_parts.shoulders(pen, rng, coat)
    wide = rng.uniform(0.68, 0.82)
    for side in _SIDES:
        pen.ellipse((side * 0.4, -0.42), (0.25, 0.25), shade(skin, 0.95))
    pen.ellipse((0.0, 0.05), (wide, rng.uniform(0.46, 0.56)), skin)
    face = face_parts.shift_at_random(pen, rng, 0.06)
    face_parts.eyes(face, rng, coat, EyeShape((0.4, -0.44), rng.uniform(0.13, 0.18), rng.choice(["slit", "round"])))
    pen.blob(
        [[-wide * 0.8, 0.14], [0.0, 0.34], [wide * 0.8, 0.14], [0.4, 0.42], [0.0, 0.5], [-0.4, 0.42]],
        coat.second,
        edge=False,
    )
    pen.curve([[-wide * 0.8, 0.12], [-0.3, 0.28], [0.3, 0.28], [wide * 0.8, 0.12]], shade(skin, 0.45), 0.04)
    for side in _SIDES:
        face.ellipse((side * 0.07, 0.06), (0.025, 0.03), shade(skin, 0.4), edge=False)


def draw_monkey(pen: Pen, rng: np.random.Generator) -> None:
    """Round ears low at the sides and a pale heart of a face."""
    coat = face_parts.pick_coat(rng)
    skin = mix((226, 180, 140), coat.second, rng.uniform(0.0, 0.6))
    face_parts.shoulders(pen, rng, coat)
    for side in _SIDES:
        _round_ear(pen, coat, side, (rng.uniform(0.62, 0.72), -0.02), rng.uniform(0.2, 0.27))
    face_parts.head(pen, rng, coat, HeadShape(0.6, rng.uniform(0.58, 0.68), 1.0, 1.0))
    face = face_parts.shift_at_random(pen, rng, 0.07)
    for side in _SIDES:
        face.ellipse((side * 0.2, -0.12), (0.25, 0.25), skin, edge=False)
    face.ellipse((0.0, 0.28), (rng.uniform(0.36, 0.44), 0.27), skin, edge=False)
    _round_eyes(face, rng, coat, 0.2, -0.1)
    for side in _SIDES:
        face.ellipse((side * 0.05, 0.15), (0.02, 0.03), shade(skin, 0.45), edge=False)
    face.curve([[-0.22, 0.32], [0.0, 0.42], [0.22, 0.32]], shade(skin, 0.45), 0.035)


def draw_sheep(pen: Pen, rng: np.random.Generator) -> None:
    """A smooth narrow face in a cloud of wool, ears straight out."""
    coat = face_parts.pick_coat(rng)
    wool, skin = (coat.second, coat.base) if rng.random() < 0.7 else (coat.base, coat.second)
    face_parts.shoulders(pen, rng, coat)
    turns = np.linspace(0, 2 * np.pi, 13, endpoint=False) + rng.uniform(0, 1)
    for angle in turns:
        pen.ellipse((np.cos(angle) * 0.5, np.sin(angle) * 0.46 - 0.12), (0.22, 0.22), shade(wool, 0.95))
    pen.ellipse((0.0, -0.12), (0.56, 0.5), wool, edge=False)
    for side in _SIDES:
        pen.ellipse((side * 0.6, rng.uniform(-0.06, 0.08)), (0.24, 0.11), shade(skin, 0.85), side * 0.3)
    pen.ellipse((0.0, 0.14), (rng.uniform(0.34, 0.42), rng.uniform(0.48, 0.58)), skin)
    for x in (-0.2, 0.0, 0.2):
        pen.ellipse((x, -0.38), (0.17, 0.15), wool, edge=False)
    face = face_parts.shift_at_random(pen, rng, 0.05)
    _round_eyes(face, rng, coat, 0.2, 0.0)
    face.blob([[-0.1, 0.38], [0.1, 0.38], [0.0, 0.48]], shade(skin, 0.5))
    face_parts.mouth(face, coat, (0.0, 0.46), 0.12, 0.06)


def draw_lion(pen: Pen, rng: np.random.Generator) -> None:
    """A mane all round the face."""
    coat = face_parts.pick_coat(rng)
    mane = mix(shade(coat.base, 0.6), coat.second, rng.uniform(0.0, 0.5))
    face_parts.shoulders(pen, rng, coat)
    tips = int(rng.integers(14, 22))
    turns = np.linspace(0, 2 * np.pi, 2 * tips, endpoint=False)
    reach = np.where(np.arange(2 * tips) % 2 == 0, rng.uniform(0.86, 1.0), rng.uniform(0.72, 0.82))
    pen.polygon(np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach[:, None], mane)
    for side in _SIDES:
        _round_ear(pen, coat, side, (0.42, -0.44), 0.17)
    face_parts.head(pen, rng, coat, HeadShape(rng.uniform(0.5, 0.6), 0.58, 1.0, 1.0))
    face = face_parts.shift_at_random(pen, rng, 0.07)
    _round_eyes(face, rng, coat, 0.23, -0.1)
    for side in _SIDES:
        face.ellipse((side * 0.12, 0.3), (0.16, 0.13), coat.second, edge=False)
    face.blob([[-0.14, 0.08], [0.14, 0.08], [0.0, 0.24]], coat.nose)
    face_parts.mouth(face, coat, (0.0, 0.22), 0.16, 0.1)


def draw_cow(pen: Pen, rng: np.random.Generator) -> None:
    """Horns, ears out to the sides, and a broad muzzle with nostrils."""
    coat = face_parts.pick_coat(rng)
    face_parts.shoulders(pen, rng, coat)
    for side in _SIDES:
        horn = np.array([[0.22, -0.56], [0.4, -0.62], [0.56, -0.98], [0.38, -0.84]])
        pen.blob(horn * [side, 1.0], _HORN)
        pen.ellipse((side * rng.uniform(0.62, 0.7), -0.34), (0.26, 0.13), shade(coat.base, 0.85), side * 0.25)
    face_parts.head(pen, rng, coat, HeadShape(rng.uniform(0.46, 0.56), 0.7, 0.85, 1.0))
    face = face_parts.shift_at_random(pen, rng, 0.06)
    face_parts.markings(face, rng, coat, 0.5, 0.66)
    _round_eyes(face, rng, coat, 0.27, -0.18)
    snout = mix(coat.second, (228, 160, 150), 0.5)
    face.ellipse((0.0, 0.44), (rng.uniform(0.4, 0.48), 0.26), snout)
    for side in _SIDES:
        face.ellipse((side * 0.18, 0.38), (0.06, 0.08), shade(snout, 0.5), edge=False)
    face.curve([[-0.2, 0.56], [0.0, 0.6], [0.2, 0.56]], shade(snout, 0.5), 0.03)


def draw_elephant(pen: Pen, rng: np.random.Generator) -> None:
    """Ears as large as the face and a trunk."""
    coat = face_parts.pick_coat(rng)
    face_parts.shoulders(pen, rng, coat)
    big = rng.uniform(0.4, 0.5)
    for side in _SIDES:
        pen.ellipse((side * 0.62, -0.08), (big * 0.85, big * 1.15), shade(coat.base, 0.85), side * -0.2)
        pen.ellipse((side * 0.62, -0.06), (big * 0.55, big * 0.8), coat.inner, side * -0.2, edge=False)
    pen.ellipse((0.0, -0.12), (rng.uniform(0.44, 0.52), 0.54), coat.base)
    swing = rng.uniform(-0.3, 0.3)
    trunk = [[0.0, 0.0], [0.02, 0.35], [swing * 0.4, 0.65], [swing, 0.92]]
    if pen.edge_width > 0:
        pen.curve(trunk, shade(coat.base, 0.5), 0.3)
    pen.curve(trunk, shade(coat.base, 0.95), 0.26)
    for y in (0.25, 0.4, 0.55):
        pen.line([[-0.1, y], [0.1, y + 0.02]], shade(coat.base, 0.72), 0.025)
    _round_eyes(pen, rng, coat, 0.27, -0.16)


def draw_raccoon(pen: Pen, rng: np.random.Generator) -> None:
    """A dark band over the eyes, small rounded ears, a short pointed snout."""
    coat = face_parts.pick_coat(rng)
    width = rng.uniform(0.64, 0.76)
    face_parts.shoulders(pen, rng, coat)
    for side in _SIDES:
        face_parts.pointed_ear(pen, coat, side, EarShape((width * 0.64, -0.38), 0.34, rng.uniform(0.22, 0.34), 0.45))
    face_parts.head(pen, rng, coat, HeadShape(width, 0.56, 1.08, 0.7, 0.06))
    face = face_parts.shift_at_random(pen, rng, 0.06)
    face.ellipse((0.0, 0.08), (width * 0.8, 0.36), mix(coat.second, (246, 242, 234), 0.6), edge=False)
    for side in _SIDES:
        face.ellipse((side * 0.32, 0.0), (0.27, 0.15), (50, 44, 46), side * 0.45, edge=False)
    face_parts.eyes(face, rng, coat, EyeShape((0.26, -0.02), rng.uniform(0.07, 0.1), "round"))
    face.ellipse((0.0, 0.32), (0.17, 0.14), (240, 236, 228), edge=False)
    face.ellipse((0.0, 0.28), (0.09, 0.07), (40, 36, 38))
    face_parts.mouth(face, coat, (0.0, 0.34), 0.09, 0.05)


def draw_deer(pen: Pen, rng: np.random.Generator) -> None:
    """Antlers, leaf-shaped ears and a long narrow face."""
    coat = face_parts.pick_coat(rng)
    face_parts.shoulders(pen, rng, coat)
    antler = shade(_HORN, float(rng.uniform(0.55, 1.0)))
    for side in _SIDES:
        for beam in ([[0.16, -0.5], [0.4, -0.74], [0.42, -1.04]], [[0.34, -0.7], [0.6, -0.84]]):
            pen.curve(np.array(beam) * [side, 1.0], antler, 0.07)
        pen.ellipse((side * 0.52, -0.36), (0.24, 0.11), shade(coat.base, 0.9), side * -0.4)
        pen.ellipse((side * 0.52, -0.36), (0.15, 0.06), coat.inner, side * -0.4, edge=False)
    face_parts.head(pen, rng, coat, HeadShape(rng.uniform(0.4, 0.48), 0.66, 0.78, 0.7))
    face = face_parts.shift_at_random(pen, rng, 0.05)
    _round_eyes(face, rng, coat, 0.24, -0.14)
    face.ellipse((0.0, 0.44), (0.2, 0.2), coat.second, edge=False)
    face.ellipse((0.0, 0.36), (0.11, 0.08), coat.nose)
    face_parts.mouth(face, coat, (0.0, 0.42), 0.09, 0.07)


ANIMALS: dict[str, Figure] = {
    "rabbit": draw_rabbit,
    "bear": draw_bear,
    "pig": draw_pig,
    "mouse": draw_mouse,
    "owl": draw_owl,
    "fox": draw_fox,
    "frog": draw_frog,
    "monkey": draw_monkey,
    "sheep": draw_sheep,
    "lion": draw_lion,
    "cow": draw_cow,
    "elephant": draw_elephant,
    "raccoon": draw_raccoon,
    "deer": draw_deer,
}
