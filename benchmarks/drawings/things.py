"""Classes of drawings that sketchnet is pretrained on: things, and faces of animals other than cats and dogs."""

import numpy as np
from drawings.animals import ANIMALS
from numpy.typing import NDArray

from headstart.pipelines.sample.pen import Pen, mix, rotate, shade
from headstart.pipelines.sample.scene import Figure, pick_color


def _ring(count: int) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


def draw_house(pen: Pen, rng: np.random.Generator) -> None:
    """Walls, a gabled roof, a door and windows."""
    wall, roof, glass = pick_color(rng), pick_color(rng), pick_color(rng)
    wide, eaves = rng.uniform(0.5, 0.75), rng.uniform(-0.35, -0.05)
    if rng.random() < 0.6:
        pen.polygon([[0.25, -0.85], [0.45, -0.85], [0.45, -0.2], [0.25, -0.2]], shade(roof, 0.7))
    pen.polygon([[-wide, eaves], [wide, eaves], [wide, 0.8], [-wide, 0.8]], wall)
    pen.polygon([[-wide - 0.15, eaves], [0.0, rng.uniform(-0.95, -0.7)], [wide + 0.15, eaves]], roof)
    door = rng.uniform(-0.25, 0.25)
    pen.polygon([[door - 0.13, 0.3], [door + 0.13, 0.3], [door + 0.13, 0.8], [door - 0.13, 0.8]], shade(roof, 0.6))
    for x in (-0.68 * wide, 0.68 * wide):
        pen.polygon([[x - 0.12, 0.02], [x + 0.12, 0.02], [x + 0.12, 0.26], [x - 0.12, 0.26]], glass)


def draw_tree(pen: Pen, rng: np.random.Generator) -> None:
    """A trunk with a round or a layered crown."""
    bark, leaf = shade((120, 84, 56), float(rng.uniform(0.6, 1.3))), pick_color(rng)
    pen.polygon([[-0.1, 0.0], [0.1, 0.0], [0.15, 0.95], [-0.15, 0.95]], bark)
    if rng.random() < 0.5:
        for x, y in rng.uniform(-0.35, 0.35, size=(6, 2)):
            pen.ellipse((x, y - 0.4), (0.36, 0.32), shade(leaf, float(rng.uniform(0.8, 1.15))))
    else:
        for y, wide in ((0.3, 0.68), (-0.05, 0.54), (-0.4, 0.4)):
            pen.polygon([[-wide, y], [0.0, y - 0.55], [wide, y]], shade(leaf, 0.9 + 0.1 * y))


def draw_car(pen: Pen, rng: np.random.Generator) -> None:
    """Seen from the side: body, cabin, two wheels."""
    paint, glass, tire = pick_color(rng), pick_color(rng), (40, 38, 40)
    front = rng.choice([-1.0, 1.0])
    cabin = np.array([[-0.5, -0.05], [-0.34, -0.45], [0.25, -0.45], [0.5, -0.05]])
    pen.polygon(cabin * [front, 1.0], shade(paint, 0.9))
    pen.polygon((cabin * 0.75 + [0.0, -0.06]) * [front, 1.0], glass)
    pen.blob([[-0.92, 0.0], [0.0, -0.1], [0.92, 0.02], [0.95, 0.35], [0.0, 0.4], [-0.95, 0.35]], paint)
    for x in (-0.52, 0.52):
        pen.ellipse((x, 0.38), (0.22, 0.22), tire)
        pen.ellipse((x, 0.38), (0.1, 0.1), (170, 170, 172), edge=False)


def draw_fish(pen: Pen, rng: np.random.Generator) -> None:
    """A body with tail, fins, an eye and bars."""
    scales = pick_color(rng)
    ahead = rng.choice([-1.0, 1.0])
    tall = rng.uniform(0.3, 0.46)
    tail = np.array([[0.42, 0.0], [0.95, -0.38], [0.8, 0.0], [0.95, 0.38]])
    pen.polygon(tail * [ahead, 1.0], shade(scales, 0.75))
    fin = np.array([[-0.25, -tall * 0.8], [0.1, -tall - 0.25], [0.35, -tall * 0.6]])
    pen.polygon(fin * [ahead, 1.0], shade(scales, 0.75))
    pen.ellipse((-0.1 * ahead, 0.0), (0.65, tall), scales)
    bars = pick_color(rng)
    for x in (-0.05, 0.18):
        pen.line([[x * ahead, -tall * 0.8], [x * ahead, tall * 0.8]], bars, rng.uniform(0.04, 0.1))
    pen.ellipse((-0.45 * ahead, -0.08), (0.09, 0.09), (245, 245, 240))
    pen.ellipse((-0.46 * ahead, -0.08), (0.045, 0.045), (30, 28, 30), edge=False)


def draw_flower(pen: Pen, rng: np.random.Generator) -> None:
    """Petals round a disc on a stalk with leaves."""
    petal, heart, leaf = pick_color(rng), pick_color(rng), shade((96, 150, 72), float(rng.uniform(0.6, 1.2)))
    pen.curve([[0.0, -0.2], [0.06, 0.4], [0.0, 1.0]], leaf, 0.07)
    for side in (-1, 1):
        pen.ellipse((side * 0.22, 0.62), (0.24, 0.09), leaf, side * -0.5)
    count = int(rng.integers(5, 10))
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False):
        center = rotate([[0.0, -0.36]], angle)[0] + [0.0, -0.28]
        pen.ellipse(center.tolist(), (1.1 / count + 0.03, 0.3), petal, angle)
    pen.ellipse((0.0, -0.28), (0.2, 0.2), heart)


def draw_cup(pen: Pen, rng: np.random.Generator) -> None:
    """A cup with one handle, at times steaming."""
    clay = pick_color(rng)
    side = rng.choice([-1.0, 1.0])
    pen.curve(np.array([[0.42, -0.15], [0.8, -0.2], [0.82, 0.3], [0.36, 0.42]]) * [side, 1.0], shade(clay, 0.8), 0.12)
    taper = rng.uniform(0.32, 0.5)
    pen.polygon([[-0.54, -0.35], [0.54, -0.35], [taper, 0.7], [-taper, 0.7]], clay)
    pen.ellipse((0.0, -0.35), (0.54, 0.14), shade(clay, 0.85))
    pen.ellipse((0.0, -0.34), (0.45, 0.1), (84, 56, 40), edge=False)
    if rng.random() < 0.5:
        for x in (-0.18, 0.12):
            pen.curve([[x, -0.5], [x + 0.08, -0.65], [x - 0.04, -0.8], [x + 0.05, -0.95]], (236, 236, 236), 0.05)


def draw_star(pen: Pen, rng: np.random.Generator) -> None:
    """A star of five or six points."""
    points = int(rng.integers(5, 7))
    reach = np.where(np.arange(2 * points) % 2 == 0, 0.9, rng.uniform(0.34, 0.46))[:, None]
    color = pick_color(rng)
    pen.polygon(_ring(2 * points) * reach, color)
    if rng.random() < 0.5:
        pen.polygon(_ring(2 * points) * reach * 0.6, shade(color, 1.15), edge=False)


def draw_umbrella(pen: Pen, rng: np.random.Generator) -> None:
    """A canopy of panels over a stick with a crook."""
    cloth, other = pick_color(rng), pick_color(rng)
    pen.curve([[0.0, -0.7], [0.0, 0.3], [0.0, 0.75], [0.12, 0.9], [0.25, 0.76]], shade(other, 0.5), 0.06)
    arc = np.linspace(np.pi, 2 * np.pi, 17)
    dome = np.stack([np.cos(arc) * 0.88, np.sin(arc) * 0.72 + 0.06], axis=1)
    pen.polygon(dome, cloth)
    for left in (0.0, 0.5):
        panel = [[-0.88 + 0.88 * left * 2, 0.06], [0.0, -0.66], [-0.44 + 0.88 * left * 2, 0.06]]
        pen.polygon(panel, mix(cloth, other, 0.6), edge=False)


def draw_boat(pen: Pen, rng: np.random.Generator) -> None:
    """A hull with a mast and one or two sails."""
    wood, sail = pick_color(rng), pick_color(rng)
    pen.line([[0.0, -0.9], [0.0, 0.4]], shade(wood, 0.6), 0.06)
    side = rng.choice([-1.0, 1.0])
    pen.polygon(np.array([[0.06, -0.88], [0.62, 0.2], [0.06, 0.2]]) * [side, 1.0], sail)
    if rng.random() < 0.7:
        pen.polygon(np.array([[-0.06, -0.7], [-0.46, 0.2], [-0.06, 0.2]]) * [side, 1.0], shade(sail, 0.85))
    pen.polygon([[-0.85, 0.36], [0.85, 0.36], [0.52, 0.76], [-0.52, 0.76]], wood)


def draw_mushroom(pen: Pen, rng: np.random.Generator) -> None:
    """A stalk under a dotted cap."""
    cap, dot = pick_color(rng), pick_color(rng)
    pen.blob([[-0.18, 0.0], [0.18, 0.0], [0.26, 0.75], [0.0, 0.85], [-0.26, 0.75]], (232, 222, 202))
    wide, tall = rng.uniform(0.62, 0.82), rng.uniform(0.5, 0.85)
    half = np.array([[wide * 0.7, -tall * 0.7], [wide, 0.08]])
    pen.blob(np.concatenate([[[0.0, -tall]], half, [[0.0, 0.18]], (half * [-1.0, 1.0])[::-1]]), cap)
    for x, y in ((-0.4, -0.12), (0.0, -0.3), (0.36, -0.1), (-0.14, -0.02)):
        pen.ellipse((x, y), (0.11, 0.09), dot, edge=False)


def draw_clock(pen: Pen, rng: np.random.Generator) -> None:
    """A dial with marks and two hands, at times with two bells."""
    rim, dial = pick_color(rng), mix(pick_color(rng), (245, 242, 235), 0.6)
    if rng.random() < 0.5:
        for side in (-1, 1):
            pen.ellipse((side * 0.45, -0.66), (0.24, 0.17), shade(rim, 0.8), side * 0.6)
            pen.line([[side * 0.4, 0.5], [side * 0.55, 0.92]], shade(rim, 0.6), 0.1)
    pen.ellipse((0.0, 0.0), (0.74, 0.74), rim)
    pen.ellipse((0.0, 0.0), (0.6, 0.6), dial, edge=False)
    pen.strokes(_ring(12) * 0.48, _ring(12) * 0.56, (40, 38, 40), 0.045)
    for length, width in ((0.3, 0.07), (0.46, 0.045)):
        pen.line([[0.0, 0.0], rotate([[0.0, -length]], rng.uniform(0, 2 * np.pi))[0]], (40, 38, 40), width)


def draw_butterfly(pen: Pen, rng: np.random.Generator) -> None:
    """Four wings, a body and feelers."""
    wing, spot = pick_color(rng), pick_color(rng)
    upper, lower = rng.uniform(0.32, 0.42), rng.uniform(0.24, 0.32)
    for side in (-1, 1):
        pen.ellipse((side * 0.42, 0.32), (lower, lower * 1.25), shade(wing, 0.85), side * -0.5)
        pen.ellipse((side * 0.48, -0.28), (upper, upper * 1.3), wing, side * 0.6)
        pen.ellipse((side * 0.52, -0.32), (0.16, 0.2), spot, side * 0.6, edge=False)
        pen.ellipse((side * 0.44, 0.36), (0.1, 0.13), spot, edge=False)
        pen.curve([[0.0, -0.4], [side * 0.1, -0.68], [side * 0.26, -0.82]], (50, 44, 44), 0.03)
    pen.ellipse((0.0, 0.0), (0.09, 0.52), (58, 48, 46))


def draw_key(pen: Pen, rng: np.random.Generator) -> None:
    """A ring, a shaft and a bit, lying any way."""
    metal = pick_color(rng)
    angle = rng.uniform(-np.pi, np.pi)
    ring = np.concatenate([_ring(20) * 0.34, (_ring(20) * 0.17)[::-1]])
    pen.line(rotate([[-0.2, 0.0], [0.9, 0.0]], angle), metal, 0.13)
    for x, long in ((0.62, 0.26), (0.82, 0.34)):
        pen.line(rotate([[x, 0.0], [x, long]], angle), metal, 0.12)
    pen.polygon(rotate(np.concatenate([ring, ring[:1]]) + np.array([-0.5, 0.0]), angle), metal, edge=False)


def draw_rocket(pen: Pen, rng: np.random.Generator) -> None:
    """A pointed hull with a port-hole, fins and a flame."""
    hull, fin = pick_color(rng), pick_color(rng)
    pen.blob([[-0.15, 0.6], [0.15, 0.6], [0.0, rng.uniform(0.85, 1.05)]], (236, 160, 60))
    for side in (-1, 1):
        pen.polygon(np.array([[0.2, 0.1], [0.55, 0.62], [0.18, 0.55]]) * [side, 1.0], fin)
    half = np.array([[0.26, -0.4], [0.26, 0.3], [0.16, 0.62]])
    pen.blob(np.concatenate([[[0.0, -0.95]], half, (half * [-1.0, 1.0])[::-1]]), hull)
    pen.ellipse((0.0, -0.25), (0.15, 0.15), shade(fin, 1.2))


def draw_apple(pen: Pen, rng: np.random.Generator) -> None:
    """A fruit with a dent on top, a stalk and a leaf."""
    skin, leaf = pick_color(rng), shade((110, 156, 70), float(rng.uniform(0.7, 1.2)))
    pen.curve([[0.0, -0.42], [0.03, -0.62], [0.1, -0.8]], (92, 66, 48), 0.07)
    pen.ellipse((0.28, -0.68), (0.22, 0.1), leaf, -0.4)
    pen.blob(
        [
            [0.0, -0.4],
            [0.35, -0.52],
            [0.7, -0.2],
            [0.6, 0.4],
            [0.25, 0.74],
            [0.0, 0.68],
            [-0.25, 0.74],
            [-0.6, 0.4],
            [-0.7, -0.2],
            [-0.35, -0.52],
        ],
        skin,
    )
    pen.ellipse((-0.32, -0.18), (0.1, 0.18), mix(skin, (255, 255, 255), 0.5), 0.4, edge=False)


def draw_cactus(pen: Pen, rng: np.random.Generator) -> None:
    """A column with arms in a pot."""
    flesh, pot = pick_color(rng), pick_color(rng)
    for side in (-1, 1):
        low, high = rng.uniform(-0.1, 0.25), rng.uniform(-0.6, -0.3)
        pen.curve(np.array([[0.1, low], [0.45, low], [0.5, high]]) * [side, 1.0], shade(flesh, 0.88), 0.2)
    pen.ellipse((0.0, -0.1), (0.24, rng.uniform(0.65, 0.85)), flesh)
    for x in (-0.1, 0.02, 0.13):
        pen.line([[x, -0.6], [x, 0.4]], shade(flesh, 0.72), 0.025)
    pen.polygon([[-0.42, 0.42], [0.42, 0.42], [0.3, 0.95], [-0.3, 0.95]], pot)


CLASSES: dict[str, Figure] = ANIMALS | {
    "house": draw_house,
    "tree": draw_tree,
    "car": draw_car,
    "fish": draw_fish,
    "flower": draw_flower,
    "cup": draw_cup,
    "star": draw_star,
    "umbrella": draw_umbrella,
    "boat": draw_boat,
    "mushroom": draw_mushroom,
    "clock": draw_clock,
    "butterfly": draw_butterfly,
    "key": draw_key,
    "rocket": draw_rocket,
    "apple": draw_apple,
    "cactus": draw_cactus,
}
