"""Parts of animal faces, for every animal: coat, head, ears, eyes, mouth, markings.

All lengths are in a figure's units, in which a head is about 1.4 wide; `side` is -1 for the left and 1 for the right.
"""

import dataclasses
from typing import Literal

import numpy as np

from headstart.pipelines.sample.pen import Color, Pen, brightness, mix, rotate, shade, smooth

FUR: tuple[Color, ...] = (
    (233, 220, 196),
    (240, 236, 228),
    (222, 160, 92),
    (196, 118, 62),
    (150, 100, 62),
    (104, 72, 52),
    (62, 56, 56),
    (128, 128, 132),
    (168, 166, 164),
    (196, 172, 138),
)
_IRIS: tuple[Color, ...] = ((122, 158, 78), (214, 168, 58), (132, 86, 44), (92, 140, 180), (84, 58, 40))
_NOSE: tuple[Color, ...] = ((46, 40, 42), (74, 56, 52), (206, 128, 122), (150, 96, 88))
_DARK: Color = (34, 30, 32)
_PINK: Color = (226, 150, 146)
_TONGUE: Color = (224, 112, 118)


@dataclasses.dataclass(frozen=True)
class Coat:
    """Colours of one animal.

    Attributes:
        base: Colour of most of the fur.
        second: Colour of muzzle, chest and markings.
        inner: Colour of the inside of the ears.
        iris: Colour of the eyes.
        nose: Colour of the tip of the nose.
    """

    base: Color
    second: Color
    inner: Color
    iris: Color
    nose: Color

    @property
    def line(self) -> Color:
        """A dark colour for thin lines that shows on both furs."""
        return _DARK if brightness(self.second) > 90 else (150, 138, 130)


@dataclasses.dataclass(frozen=True)
class HeadShape:
    """Shape of a head about the origin.

    Attributes:
        width: Half the width at the temples.
        height: Half the height.
        cheek: Width at the cheeks as a share of `width`.
        jaw: Width of the jaw as a share of 0.55 `width`.
        tuft: Length of the tufts of fur on the cheeks.
    """

    width: float
    height: float
    cheek: float = 0.95
    jaw: float = 0.9
    tuft: float = 0.0


@dataclasses.dataclass(frozen=True)
class EarShape:
    """Shape of an ear on the right side.

    Attributes:
        root: Middle of its line of contact with the head.
        width: Width at the head.
        length: Length from the head to the tip.
        lean: Angle outward in radians.
    """

    root: tuple[float, float]
    width: float
    length: float
    lean: float = 0.0


@dataclasses.dataclass(frozen=True)
class EyeShape:
    """Shape of a pair of eyes.

    Attributes:
        center: Middle of the right eye.
        size: Half the width of an eye.
        pupil: Pupil: ``slit``, ``round``, or ``dark`` for an eye that is nearly all pupil.
        slant: Angle by which the outer corners are raised, in radians.
    """

    center: tuple[float, float]
    size: float
    pupil: Literal["slit", "round", "dark"]
    slant: float = 0.0


def pick_coat(rng: np.random.Generator, furs: tuple[Color, ...] = FUR) -> Coat:
    """Picks the colours of an animal at random, close to a palette."""
    base = shade(furs[rng.integers(len(furs))], float(rng.uniform(0.85, 1.1)))
    if rng.random() < 0.6:
        second = mix(base, (250, 246, 238), float(rng.uniform(0.25, 0.85)))
    else:
        second = mix(base, FUR[rng.integers(len(FUR))], float(rng.uniform(0.2, 0.8)))
    return Coat(
        base=base,
        second=second,
        inner=mix(_PINK, shade(base, 0.6), float(rng.uniform(0.1, 0.9))),
        iris=_IRIS[rng.integers(len(_IRIS))],
        nose=_NOSE[rng.integers(len(_NOSE))],
    )


def shoulders(pen: Pen, rng: np.random.Generator, coat: Coat) -> None:
    """Draws the top of the body below the head, at times with a bib or a collar."""
    width = rng.uniform(0.5, 0.85)
    shift = rng.uniform(-0.15, 0.15)
    half = np.array([[0.45, 0.3], [width, 1.0], [width + 0.1, 1.9]])
    pen.blob(np.concatenate([half, (half * [-1.0, 1.0])[::-1]]) + np.array([shift, 0.0]), shade(coat.base, 0.82))
    if rng.random() < 0.4:
        pen.ellipse((shift, 1.05), (width * 0.5, 0.5), shade(coat.second, 0.9), edge=False)
    if rng.random() < 0.3:
        color: Color = (int(rng.integers(40, 220)), int(rng.integers(40, 200)), int(rng.integers(40, 220)))
        pen.curve([[-0.5 + shift, 0.62], [shift, 0.82], [0.5 + shift, 0.62]], color, 0.12)


def head(pen: Pen, rng: np.random.Generator, coat: Coat, shape: HeadShape) -> None:
    """Draws a head about the origin.

    Args:
        pen: Pen to draw with.
        rng: Source of randomness for the fur.
        coat: Colours of the animal.
        shape: Shape of the head.
    """
    width, height, jaw = shape.width, shape.height, shape.jaw
    right = np.array(
        [[0.55, -0.86], [0.95, -0.38], [shape.cheek + shape.tuft, 0.3], [0.55 * jaw + 0.22, 0.72], [0.42 * jaw, 0.95]]
    )
    half = right * [width, height]
    outline = np.concatenate([[[0.0, -height]], half, [[0.0, height]], (half * [-1.0, 1.0])[::-1]])
    pen.blob(outline, shade(coat.base, 0.86))
    pen.blob(outline * 0.93 + [0.0, -0.035], coat.base, edge=False)
    fur(pen, rng, coat.base, (0.0, 0.0), (width * 0.85, height * 0.85))


def fur(
    pen: Pen, rng: np.random.Generator, color: Color, center: tuple[float, float], radii: tuple[float, float]
) -> None:
    """Draws short hairs, lighter and darker than `color`, within an ellipse and pointing away from its centre."""
    if rng.random() < 0.3:
        return
    for factor in (0.88, 1.1):
        angles = rng.uniform(0, 2 * np.pi, size=16)
        out = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii
        start = out * np.sqrt(rng.uniform(0.1, 0.85, size=(16, 1)))
        pen.strokes(start + center, start + out * 0.13 + center, shade(color, factor), 0.018)


def markings(pen: Pen, rng: np.random.Generator, coat: Coat, width: float, height: float) -> None:
    """Stripes on the forehead, a blaze, a patch round an eye, spots, a mask, or nothing."""
    kind = rng.choice(["none", "stripes", "blaze", "patch", "spots", "mask"], p=[0.26, 0.16, 0.18, 0.18, 0.1, 0.12])
    dark = shade(coat.base, 0.62) if brightness(coat.base) > 80 else mix(coat.base, coat.second, 0.5)
    if kind == "stripes":
        for x in (-0.2, 0.0, 0.2):
            pen.line([[x * 0.7, -height * 0.86], [x, -height * 0.5]], dark, 0.055)
        for side in (-1, 1):
            for y in (0.05, 0.2):
                pen.line([[side * width * 0.86, y], [side * width * 0.6, y + 0.03]], dark, 0.05)
    elif kind == "blaze":
        wide = rng.uniform(0.08, 0.16)
        half = np.array([[wide, -height * 0.4], [wide * 1.5, 0.1]])
        outline = np.concatenate([[[0.0, -height * 0.9]], half, (half * [-1.0, 1.0])[::-1]])
        pen.blob(outline, coat.second, edge=False)
    elif kind == "patch":
        side = rng.choice([-1, 1])
        pen.ellipse(
            (side * width * 0.48, -height * 0.28),
            (width * 0.38, height * 0.45),
            dark if rng.random() < 0.5 else coat.second,
            side * 0.4,
            edge=False,
        )
    elif kind == "spots":
        for _ in range(int(rng.integers(3, 8))):
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.72)
            center = (np.cos(angle) * far * width, np.sin(angle) * far * height)
            pen.ellipse(center, (rng.uniform(0.04, 0.12), rng.uniform(0.04, 0.12)), dark, edge=False)
    elif kind == "mask":
        pen.ellipse((0.0, height * 0.3), (width * 0.72, height * 0.58), coat.second, edge=False)


def pointed_ear(pen: Pen, coat: Coat, side: int, shape: EarShape) -> None:
    """Draws an upright ear that narrows to a tip."""
    half, length = shape.width / 2.0, shape.length
    tip, middle = [0.0, -length], -length * 0.5
    inside = smooth([[-half, 0.12], [-half * 0.62, middle], tip], closed=False)
    outside = smooth([tip, [half * 0.75, middle], [half, 0.12]], closed=False)
    curve = np.concatenate([inside, outside])
    for outline, color, edge in ((curve, shade(coat.base, 0.92), True), (curve * 0.62, coat.inner, False)):
        placed = rotate(outline + np.array([0.0, 0.0 if edge else -0.04]), shape.lean) + shape.root
        pen.polygon(placed * [side, 1.0], color, edge)


def hanging_ear(pen: Pen, coat: Coat, color: Color, side: int, shape: EarShape, spread: float) -> None:
    """Draws an ear that hangs down beside the head, its end `spread` further out than its root."""
    (x, y), width, length = shape.root, shape.width, shape.length
    outline = np.array(
        [
            [x - 0.12, y - 0.06],
            [x + 0.1, y - 0.1],
            [x + 0.1 + spread, y + length * 0.3],
            [x + width * 0.7 + spread, y + length * 0.72],
            [x + width * 0.25 + spread, y + length],
            [x - width * 0.35 + spread, y + length * 0.75],
            [x - width * 0.3, y + length * 0.3],
        ]
    )
    pen.blob(outline * [side, 1.0], color)
    inner = outline.mean(axis=0) + (outline - outline.mean(axis=0)) * 0.6
    pen.blob(inner * [side, 1.0], mix(color, coat.inner, 0.12), edge=False)


def folded_ear(pen: Pen, coat: Coat, side: int, shape: EarShape) -> None:
    """Draws an upright ear whose tip has folded over to the front."""
    half, length = shape.width / 2.0, shape.length
    stand = np.array([[-half, 0.12], [-half * 0.8, -length * 0.6], [half * 0.9, -length * 0.5], [half, 0.12]])
    flap = np.array([[-half * 0.85, -length * 0.58], [half * 0.95, -length * 0.48], [half * 0.9, length * 0.22]])
    for outline, color in ((stand, shade(coat.base, 0.78)), (flap, shade(coat.base, 0.95))):
        pen.polygon((rotate(outline, shape.lean) + shape.root) * [side, 1.0], color)


def eyes(pen: Pen, rng: np.random.Generator, coat: Coat, shape: EyeShape) -> None:
    """Draws a pair of eyes, now and then closed."""
    size, pupil = shape.size, shape.pupil
    closed = rng.random() < 0.07
    gaze = rng.uniform(-0.2, 0.2) * size
    for side in (-1, 1):
        x, y = side * shape.center[0], shape.center[1]
        if closed:
            pen.curve([[x - size, y], [x, y + size * 0.6], [x + size, y]], coat.line, 0.04)
            continue
        tall = size * (0.82 if pupil == "slit" else 0.95)
        pen.ellipse((x, y), (size * 1.18, tall * 1.2), _DARK, -side * shape.slant, edge=False)
        pen.ellipse((x, y), (size, tall), coat.iris, -side * shape.slant, edge=False)
        wide = {"slit": 0.24, "round": 0.52, "dark": 0.82}[pupil]
        pen.ellipse((x + gaze, y), (size * wide, tall * (0.9 if pupil == "slit" else wide)), _DARK, edge=False)
        pen.ellipse((x - size * 0.3, y - size * 0.35), (size * 0.24, size * 0.24), (250, 250, 250), edge=False)


def mouth(pen: Pen, coat: Coat, top: tuple[float, float], width: float, drop: float) -> None:
    """Draws a line down from the nose that parts to both sides."""
    x, y = top
    pen.line([[x, y], [x, y + drop]], coat.line, 0.03)
    for side in (-1, 1):
        ends = [[x, y + drop], [x + side * width * 0.5, y + drop + 0.06], [x + side * width, y + drop]]
        pen.curve(ends, coat.line, 0.03)


def tongue(pen: Pen, top: tuple[float, float], width: float, length: float) -> None:
    """Draws a tongue that hangs down from `top`."""
    x, y = top
    low = y + length * 0.7
    pen.blob([[x - width, y], [x + width, y], [x + width, low], [x, y + length], [x - width, low]], _TONGUE)
    pen.line([[x, y], [x, y + length * 0.6]], shade(_TONGUE, 0.8), 0.02)


def whiskers(pen: Pen, rng: np.random.Generator, coat: Coat, root: tuple[float, float], length: float) -> None:
    """Draws about three long hairs on either side, in a colour that contrasts with the coat."""
    color: Color = (248, 246, 240) if brightness(coat.base) < 150 else (70, 62, 60)
    count = int(rng.integers(2, 5))
    rise = rng.uniform(-0.1, 0.15)
    for side in (-1, 1):
        for row in np.linspace(-1.0, 1.0, count):
            x, y = side * root[0], root[1] + row * 0.06
            end = x + side * length
            pen.curve([[x, y], [(x + end) / 2, y + row * 0.06 - 0.02], [end, y + row * 0.16 - rise]], color, 0.018)


def shift_at_random(pen: Pen, rng: np.random.Generator, most: float = 0.1) -> Pen:
    """A pen for the parts of a face that looks a little to a side, up or down."""
    return pen.shifted(float(rng.uniform(-most, most)), float(rng.uniform(-0.5, 0.5) * most))
