"""A pen that draws anti-aliasable vector shapes through a projective transform."""

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Color = tuple[int, int, int]

_ARC = np.linspace(0.0, 2.0 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ARC), np.sin(_ARC)], axis=1)
_STEPS = np.linspace(0.0, 1.0, 6, endpoint=False)
# Catmull-Rom basis: the weights of four neighbouring points at each step between the middle two.
_SPLINE = np.stack([_STEPS**0, _STEPS, _STEPS**2, _STEPS**3], axis=1) @ (
    0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]], dtype=float)
)


def shade(color: Color, factor: float) -> Color:
    """Darkens (`factor` below 1) or lightens (above 1) a colour."""
    red, green, blue = (min(255, max(0, round(value * factor))) for value in color)
    return red, green, blue


def mix(first: Color, second: Color, share: float) -> Color:
    """The colour that is `share` (0 to 1) of `second` and the rest of `first`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def brightness(color: Color) -> float:
    """Luma of a colour, 0 to 255, with the weights of ITU-R BT.601."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def smooth(points: ArrayLike, closed: bool = True) -> NDArray[np.float64]:
    """A Catmull-Rom curve through the points.

    Args:
        points: The points to pass through, shape (n, 2).
        closed: Whether the last point is joined to the first.

    Returns:
        Points on the curve, shape (m, 2), `m` greater than `n`.
    """
    knots = np.asarray(points, dtype=float)
    if closed:
        around = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        around = np.concatenate([knots[:1], knots, knots[-1:]])
    windows = np.stack([around[k : len(around) - 3 + k] for k in range(4)], axis=1)
    curve = np.einsum("sk,nkd->nsd", _SPLINE, windows).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


def rotate(points: ArrayLike, angle: float) -> NDArray[np.float64]:
    """Rotates points of shape (n, 2) about the origin by `angle` radians, clockwise as y points down."""
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation: NDArray[np.float64] = np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray(points, dtype=np.float64) @ rotation


class Pen:
    """Draws in a figure's own coordinates: the figure fills about -1 to 1 on both axes, y points down.

    Attributes:
        edge_width: Width of the darker line round shapes in the figure's units; 0: no line.
    """

    def __init__(self, image: Image.Image, matrix: NDArray[np.float64], edge_width: float = 0.0):
        """Draws on `image` what `matrix` (3x3, homogeneous) maps from the figure's units to its pixels."""
        self.edge_width = edge_width
        self._draw = ImageDraw.Draw(image)
        self._matrix = matrix
        self._scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))

    def shifted(self, x: float, y: float) -> "Pen":
        """A pen on the same image whose origin lies at (x, y) of this one's."""
        pen = copy.copy(self)
        pen._matrix = self._matrix @ np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
        return pen

    def _pixels(self, points: ArrayLike) -> list[tuple[float, float]]:
        flat = np.asarray(points, dtype=float)
        mapped = flat @ self._matrix[:, :2].T + self._matrix[:, 2]
        return [(x, y) for x, y in (mapped[:, :2] / np.maximum(mapped[:, 2:], 0.1)).tolist()]

    def polygon(self, points: ArrayLike, color: Color, edge: bool = True) -> None:
        """Fills a polygon with corners of shape (n, 2); with `edge`, in the pen's line."""
        corners = self._pixels(points)
        self._draw.polygon(corners, fill=color)
        if edge and self.edge_width > 0:
            width = max(1, round(self.edge_width * self._scale))
            self._draw.line([*corners, *corners[:2]], fill=shade(color, 0.5), width=width, joint="curve")

    def blob(self, points: ArrayLike, color: Color, edge: bool = True) -> None:
        """Fills the closed smooth curve through points of shape (n, 2)."""
        self.polygon(smooth(points), color, edge)

    def ellipse(
        self,
        center: Sequence[float],
        radii: Sequence[float],
        color: Color,
        angle: float = 0.0,
        edge: bool = True,
    ) -> None:
        """Fills an ellipse, turned by `angle` radians."""
        self.polygon(rotate(_CIRCLE * radii, angle) + center, color, edge)

    def line(self, points: ArrayLike, color: Color, width: float) -> None:
        """Draws straight lines from point to point, `width` in the figure's units."""
        pixels = max(1, round(width * self._scale))
        self._draw.line(self._pixels(points), fill=color, width=pixels, joint="curve")

    def curve(self, points: ArrayLike, color: Color, width: float) -> None:
        """Draws the open smooth curve through points of shape (n, 2)."""
        self.line(smooth(points, closed=False), color, width)

    def strokes(self, starts: NDArray[np.float64], ends: NDArray[np.float64], color: Color, width: float) -> None:
        """Draws many separate straight lines, from `starts` to `ends`, both of shape (n, 2)."""
        pixels = max(1, round(width * self._scale))
        for start, end in zip(self._pixels(starts), self._pixels(ends), strict=True):
            self._draw.line([start, end], fill=color, width=pixels)
