"""Scene around a figure: background, clutter, pose, light, blur, noise and the final JPEG.

All of it is drawn from the same distributions for every figure, so that only the figure tells the class of an image.
"""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from headstart.pipelines.sample.pen import Color, Pen, mix, rotate, shade

Figure = Callable[[Pen, np.random.Generator], None]

_OVERSAMPLING = 2
_SIDE = (96, 160)
_JPEG_QUALITY = (70, 95)
_SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def draw_scene(figure: Figure, rng: np.random.Generator, spread: float = 1.0) -> Image.Image:
    """Draws a figure with a background, a pose and a light of its own.

    Args:
        figure: Function that draws the figure with a pen.
        rng: Source of all randomness.
        spread: Deviation of pose and size from an upright figure that fills the image, 0 to 1.

    Returns:
        RGB image, both sides 96 to 160 pixels.
    """
    width, height = (int(side) for side in rng.integers(_SIDE[0], _SIDE[1] + 1, size=2))
    image = _background(width * _OVERSAMPLING, height * _OVERSAMPLING, rng)
    pose = _pose(image.size, rng, spread)
    _clutter(image, rng, count=int(rng.integers(0, 6)), smallest=0.05, largest=0.4)
    figure(Pen(image, pose, edge_width=float(rng.choice([0.0, rng.uniform(0.012, 0.03)]))), rng)
    _clutter(image, rng, count=int(rng.integers(0, 4)), smallest=0.04, largest=0.16)
    return _apply_light_and_noise(image.reduce(_OVERSAMPLING), rng)


def encode_jpeg(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Encodes an image as JPEG of quality 70 to 95."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(_JPEG_QUALITY[0], _JPEG_QUALITY[1] + 1)))
    return buffer.getvalue()


def pick_color(rng: np.random.Generator) -> Color:
    """Picks a colour anywhere between near black and near white, most often muted."""
    value = rng.uniform(40, 245)
    red, green, blue = np.clip(value + rng.normal(0, 38, size=3), 8, 250).astype(int).tolist()
    return red, green, blue


def _pose(size: tuple[int, int], rng: np.random.Generator, spread: float) -> NDArray[np.float64]:
    """3x3 projective transform from a figure's units to pixels: turned, sheared, tilted, scaled and shifted."""
    width, height = size
    scale = rng.uniform(0.98 - 0.36 * spread, 0.98) * min(width, height) / 2.0
    angle = spread * float(np.clip(rng.normal(0.0, 0.26), -0.7, 0.7))
    shear_x, shear_y = rng.normal(0.0, 0.09 * spread, size=2)
    stretch = rng.uniform(0.9, 1.1)
    linear = rotate(np.eye(2), angle).T @ np.array([[stretch, shear_x], [shear_y, 1.0 / stretch]])
    room = 0.3 * np.maximum(np.array([width, height]) / 2.0 - 0.75 * scale, 0.0) + 0.06 * scale
    center = np.array([width, height]) / 2.0 + rng.uniform(-1.6, 1.6, size=2) * spread * room
    tilt, plane = np.eye(3), np.eye(3)
    tilt[2, :2] = rng.uniform(-0.13, 0.13, size=2) * spread
    plane[:2, :2] = scale * linear
    plane[:2, 2] = center
    return plane @ tilt


def _field(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A smooth blend of a few colours."""
    columns, rows = rng.integers(1, 4, size=2)
    base = pick_color(rng)
    cells = [mix(base, pick_color(rng), float(rng.uniform(0.1, 0.9))) for _ in range(int(columns) * int(rows))]
    grid = np.array(cells, dtype=np.uint8).reshape(int(rows), int(columns), 3)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def _background(width: int, height: int, rng: np.random.Generator) -> Image.Image:
    image = _field((width, height), rng)
    units = np.array([[width / 2.0, 0.0, width / 2.0], [0.0, width / 2.0, height / 2.0], [0.0, 0.0, 1.0]])
    pen = Pen(image, units)
    draw = _PATTERNS[rng.choice(list(_PATTERNS))]
    paint = pick_color(rng)
    draw(pen, rng, paint, rng.uniform(0, np.pi))
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.BoxBlur(float(rng.uniform(1.0, 7.0))))
    return image


def _draw_nothing(pen: Pen, rng: np.random.Generator, paint: Color, angle: float) -> None:
    pass


def _draw_stripes(pen: Pen, rng: np.random.Generator, paint: Color, angle: float) -> None:
    gap = rng.uniform(0.15, 0.5)
    for offset in np.arange(-2.2, 2.2, gap):
        ends = rotate([[offset, -3.0], [offset, 3.0]], angle)
        pen.line(ends, paint, gap * 0.45)


def _draw_dots(pen: Pen, rng: np.random.Generator, paint: Color, angle: float) -> None:
    gap = rng.uniform(0.2, 0.5)
    radius = gap * rng.uniform(0.12, 0.35)
    steps = np.arange(-1.8, 1.8, gap)
    for center in rotate([[x, y] for x in steps for y in steps], angle):
        if np.abs(center).max() < 1.8:
            pen.ellipse(center.tolist(), (radius, radius), paint, edge=False)


def _draw_tiles(pen: Pen, rng: np.random.Generator, paint: Color, angle: float) -> None:
    gap = rng.uniform(0.25, 0.6)
    steps = np.arange(-2.0, 2.0, gap)
    for row, x in enumerate(steps):
        for y in steps[row % 2 :: 2]:
            pen.polygon(rotate(gap * _SQUARE + np.array([x, y]), angle), paint)


def _draw_patches(pen: Pen, rng: np.random.Generator, paint: Color, angle: float) -> None:
    for _ in range(int(rng.integers(4, 11))):
        corners = rng.uniform(-1.6, 1.6, size=2) + rng.uniform(-0.7, 0.7, size=(int(rng.integers(3, 6)), 2))
        pen.polygon(corners, mix(paint, pick_color(rng), 0.5))


def _draw_leaves(pen: Pen, rng: np.random.Generator, paint: Color, angle: float) -> None:
    for center in rng.uniform(-1.7, 1.7, size=(int(rng.integers(20, 45)), 2)):
        radii = (rng.uniform(0.08, 0.24), rng.uniform(0.03, 0.09))
        tone = shade(paint, float(rng.uniform(0.6, 1.3)))
        pen.ellipse(center.tolist(), radii, tone, rng.uniform(0, np.pi))


def _draw_horizon(pen: Pen, rng: np.random.Generator, paint: Color, angle: float) -> None:
    level = float(rng.uniform(-0.3, 0.7))
    tilt = float(rng.normal(0, 0.1))
    pen.polygon([[-2.0, level - tilt], [2.0, level + tilt], [2.0, 3.0], [-2.0, 3.0]], paint)


_PATTERNS: dict[str, Callable[[Pen, np.random.Generator, Color, float], None]] = {
    "plain": _draw_nothing,
    "stripes": _draw_stripes,
    "dots": _draw_dots,
    "tiles": _draw_tiles,
    "patches": _draw_patches,
    "leaves": _draw_leaves,
    "horizon": _draw_horizon,
}


def _clutter(image: Image.Image, rng: np.random.Generator, count: int, smallest: float, largest: float) -> None:
    """Scatters shapes, most of them near the border.

    Args:
        image: Image to draw on.
        rng: Source of randomness.
        count: Number of shapes.
        smallest: Smallest size as a share of half a side.
        largest: Largest size as a share of half a side.
    """
    width, height = image.size
    half = min(width, height) / 2.0
    for _ in range(count):
        where = np.array([width, height]) * (0.5 + 0.5 * np.sign(rng.uniform(-1, 1, 2)) * rng.beta(2.2, 1.0, 2))
        size = half * rng.uniform(smallest, largest)
        units = np.array([[size, 0.0, where[0]], [0.0, size, where[1]], [0.0, 0.0, 1.0]])
        pen = Pen(image, units, edge_width=float(rng.choice([0.0, 0.08])))
        angle = rng.uniform(0, 2 * np.pi)
        color = pick_color(rng)
        kind = rng.choice(["ellipse", "polygon", "blob", "bar", "arc"])
        if kind == "ellipse":
            pen.ellipse((0.0, 0.0), (1.0, rng.uniform(0.4, 1.0)), color, angle)
        elif kind == "polygon":
            corners = int(rng.integers(3, 7))
            turns = np.linspace(0, 2 * np.pi, corners, endpoint=False) + angle
            pen.polygon(np.stack([np.cos(turns), np.sin(turns)], axis=1) * rng.uniform(0.6, 1.2, (corners, 1)), color)
        elif kind == "blob":
            turns = np.linspace(0, 2 * np.pi, 6, endpoint=False)
            pen.blob(np.stack([np.cos(turns), np.sin(turns)], axis=1) * rng.uniform(0.5, 1.3, (6, 1)), color)
        elif kind == "bar":
            pen.line(rotate([[-1.8, 0.0], [1.8, 0.0]], angle), color, rng.uniform(0.15, 0.6))
        else:
            pen.curve(rotate([[-1.2, 0.0], [-0.5, -0.6], [0.5, -0.6], [1.2, 0.0]], angle), color, 0.2)


def _apply_light_and_noise(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Applies light, colour cast, blur and pixel noise."""
    if rng.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.1))))
    pixels = np.asarray(image, dtype=np.float32)
    gains = Image.fromarray(rng.uniform(0.68, 1.22, size=(2, 2)).astype(np.float32))
    gain = np.asarray(gains.resize(image.size, Image.Resampling.BILINEAR))[..., None]
    cast = rng.normal(1.0, 0.05, size=3).astype(np.float32)
    contrast = np.float32(rng.uniform(0.75, 1.1))
    pixels = (pixels - 128.0) * contrast + 128.0 + np.float32(rng.uniform(-16, 16))
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(1.0, 11.0))
    return Image.fromarray(np.clip(pixels * gain * cast + noise, 0, 255).astype(np.uint8))
