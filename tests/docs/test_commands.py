"""The commands of the README, the tutorials and the how-tos, run in the order of each page, as they stand there.

`make test-docs` runs them. A block ```bash or ```python is run in a folder of the page's own. A comment in the line
above says otherwise: a block under `<!-- needs: WHAT -->` is left out, one under `<!-- file: NAME -->` is a file.
A page begins with `<!-- given: NAME … -->` if it takes something for granted: see `GIVEN`.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support import ROOT

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("tutorials/*.md")),
    *sorted((ROOT / "docs").glob("how-to/*.md")),
]
NEEDS = {
    "bucket": "a bucket",
    "checkout": "a checkout of its own",
    "cluster": "Kubeflow Pipelines",
    "docker": "a container engine and an image registry",
    "images": "more images than a test can spare",
    "mlflow": "an MLflow server",
    "network": "the internet",
    "photographs": "HEADSTART_TEST_PHOTOS and HEADSTART_TEST_MOBILENET_V2",
    "terminal": "a terminal beside that of a server",
    "your files": "files that only the reader has",
}
"""What a block may need; photographs are taken where these variables name them."""

PHOTOGRAPHS = {
    "dogs-vs-cats.zip": os.environ.get("HEADSTART_TEST_PHOTOS", ""),
    "mobilenet_v2.weights.h5": os.environ.get("HEADSTART_TEST_MOBILENET_V2", ""),
}

_GIVEN = re.compile(r"<!-- given: (.*?) -->")
_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<what>needs|file): (?P<value>.*?) -->\n *)?```(?P<language>\w*)\n(?P<text>.*?)^ *```",
    re.MULTILINE | re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code of a page: its language, its text, what it needs, and the file that it is."""

    language: str
    text: str
    needs: str
    file: str

    @property
    def runs(self) -> bool:
        if self.needs == "photographs":
            return all(PHOTOGRAPHS.values())
        return self.language in ("bash", "python") and not self.needs


def blocks(page: Path) -> list[Block]:
    return [
        Block(
            found["language"],
            textwrap.dedent(found["text"]),
            found["value"] if found["what"] == "needs" else "",
            found["value"] if found["what"] == "file" else "",
        )
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def environment(weights: Path) -> dict[str, str]:
    """The environment of a user who has installed the package and keeps weights in a folder."""
    own = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{own}:{os.environ['PATH']}", "HEADSTART_WEIGHTS": str(weights)}


def run_block(block: Block, folder: Path, variables: Mapping[str, str]) -> None:
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    if block.language == "python":
        (folder / "block.py").write_text(block.text)
        command = [sys.executable, "block.py"]
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


_WRITE_WEIGHTS = """
import inspect
import sys
import keras

keras.utils.set_random_seed(0)
images = keras.ops.image.resize(keras.random.uniform((8, 4, 4, 3), -1, 1, seed=0), (64, 64))
for function, file in zip(sys.argv[1::2], sys.argv[2::2]):
    build = getattr(keras.applications, function)
    wanted = {"include_top": False, "weights": None, "include_preprocessing": False}
    network = build(**{key: wanted[key] for key in wanted if key in inspect.signature(build).parameters})
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(images, training=True)
    network.save_weights(file)
"""
"""Random weights with the statistics of one batch: without them BatchNorm leaves features that are all alike."""


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights under the names of the backbones on the pages; no one downloads ImageNet's for a test."""
    folder = tmp_path_factory.mktemp("weights")
    networks = {
        "mobilenet_v2": "MobileNetV2",
        "efficientnet_v2_b0": "EfficientNetV2B0",
        "convnext_tiny": "ConvNeXtTiny",
    }
    words = [word for name, network in networks.items() for word in (network, str(folder / f"{name}.weights.h5"))]
    subprocess.run([sys.executable, "-c", _WRITE_WEIGHTS, *words], check=True, capture_output=True)
    return folder


def _run(*words: str) -> Callable[[Path, Mapping[str, str]], None]:
    """Something given that commands make."""

    def make(folder: Path, variables: Mapping[str, str]) -> None:
        for word in words:
            run_block(Block("bash", word, "", ""), folder, variables)

    return make


_HEAD = "--backbone sketchnet --set head.epochs=5"
_QUICK = f"{_HEAD} --set fine_tuning.epochs=1"
GIVEN: Mapping[str, Callable[[Path, Mapping[str, str]], None]] = {
    "photos": _run("headstart sample photos --per-class 30"),
    "new-photos": _run("headstart sample new-photos --per-class 20 --seed 1", "rm new-photos/*.2[1-9].jpg"),
    "out": _run("headstart sample given --per-class 30", f"headstart run --data given {_QUICK} --output out"),
    "models/pets": _run(
        "headstart sample given-2 --per-class 30 --seed 2",
        f"headstart run --data given-2 {_QUICK} --min-accuracy 0 --publish models/pets --output first",
        f"headstart run --data given-2 {_HEAD} --method head --output second",
        "headstart publish second models/pets",
    ),
    "image.jpg": _run("headstart sample one --per-class 1", "cp one/cat.1.jpg image.jpg"),
}
"""What pages take for granted, by its name in the scratch folder."""


@pytest.fixture(scope="session")
def given(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], None]:
    """A function that puts something given into a folder; it is made once."""
    made: dict[str, Path] = {}

    def put(name: str, folder: Path) -> None:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("given")
            GIVEN[name](made[name], environment(weights))
        source, target = made[name] / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)

    return put


def has_commands(page: Path) -> bool:
    return any(block.runs for block in blocks(page))


@pytest.mark.skipif("HEADSTART_TEST_DOCS" not in os.environ, reason="takes many minutes: make test-docs")
@pytest.mark.parametrize("page", filter(has_commands, PAGES), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_run(
    page: Path, given: Callable[[str, Path], None], weights: Path, tmp_path: Path
) -> None:
    for found in _GIVEN.findall(page.read_text(encoding="utf-8")):
        for name in found.split():
            given(name, tmp_path)
    for name, file in PHOTOGRAPHS.items():
        if file:
            (tmp_path / name).symlink_to(file)
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.runs:
            run_block(block, tmp_path, environment(weights))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_marked_as_this_test_reads_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(blocks(page))
    for block in blocks(page):
        assert block.language, "a block says its language: bash and python are run, text, yaml and sh are not"
        assert not block.needs or block.needs in NEEDS, block.needs
    assert {name for found in _GIVEN.findall(text) for name in found.split()} <= set(GIVEN)
    assert len(re.findall(r"<!-- (?:needs|file): ", text)) == sum(
        bool(each.needs or each.file) for each in blocks(page)
    )


def test_most_blocks_are_run() -> None:
    """Of those that a user types; a mark is for what a machine alone cannot have."""
    typed = [block for page in PAGES for block in blocks(page) if block.language in ("bash", "python")]
    assert len([block for block in typed if not block.needs]) >= 0.5 * len(typed)
