"""A version of a model in memory: downloaded, verified, warmed up and compared with its SavedModel."""

import contextlib
import dataclasses
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.components.core.images.decoding import RejectedImage
from headstart.components.core.networks.saved_model_parity import predict_drawn_images
from headstart.components.core.registry.model_files import download_model, find_model
from headstart.components.core.registry.registry import read_champion
from headstart.components.core.registry.versions import VERSION_JSON, Version, parse_version
from headstart.components.core.storage.stores import NotFound, is_remote, is_web, open_store
from headstart.components.core.util.errors import HeadstartError
from headstart.components.predict_images.step import NamedImage, OpenedModel, Predictor, load_network, open_model

if TYPE_CHECKING:
    from headstart.components.core.networks.inference import Predict

REPORT = "report.html"
RUN_PAGES = (REPORT, "data.html")
"""Pages of an output folder that a server shows; they refer to each other by these names."""

_WARM_UP = (1, 8, 32)
_NAME_LETTERS = 16

Pixels = NDArray[np.float32]
"""(size, size, 3), RGB 0-255."""


@dataclasses.dataclass(frozen=True)
class FoundVersion:
    """A version that can be loaded.

    Attributes:
        name: Name of the published version; of another model the first letters of its SHA-256.
        address: Address that stays the same when another becomes the champion.
        published: Content of its `version.json`; None: the model was not published.
        followed: Whether it is the champion of a place where models are published, and may change.
    """

    name: str
    address: str
    published: Version | None
    followed: bool


def find_version(address: str) -> FoundVersion:
    """Finds the version that an address stands for now.

    Args:
        address: Output folder, model folder, published version, or place where models are published.

    Raises:
        HeadstartError: If there is no model, or it cannot be read.
    """
    champion = None if is_web(address) else read_champion(address)
    if champion:
        return FoundVersion(champion.version.version, champion.address, champion.version, True)
    place, info = find_model(address)
    published = _read_version(place)
    return FoundVersion(published.version if published else info.sha256[:_NAME_LETTERS], place, published, False)


def _read_version(place: str) -> Version | None:
    """Content of `version.json`; None where there is none."""
    file = f"{place}/{VERSION_JSON}"
    try:
        content = open_store(file).read(file) if is_remote(place) else Path(file).read_bytes()
        return parse_version(content)
    except (NotFound, FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise HeadstartError(f"{VERSION_JSON} of the model {error}; publish it again, or serve another one") from None


class LoadedVersion:
    """A version in memory. Copies of its files are removed when nothing refers to it any more.

    Args:
        name: Name of the version.
        model: Manifest, calibration and reference features.
        network: The network, see `load_network`.
        card: Text of its model card; empty: there is none.
        files: Stack that removes copies of its files.
        pages: HTML of the pages of its run by name.
    """

    def __init__(
        self,
        name: str,
        model: OpenedModel,
        network: "Predict",
        card: str = "",
        files: contextlib.ExitStack | None = None,
        pages: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.model = model
        self.card = card
        self.pages = pages
        self._predictor = Predictor(model, network)
        if files:
            weakref.finalize(self, files.close)
        self._explainer: Any = None
        self._explaining = threading.Lock()

    def decode(self, content: bytes, name: str) -> Pixels | RejectedImage:
        """Decodes and resizes an image file as `headstart predict` does.

        Args:
            content: Bytes of the file.
            name: Name of the image in the log.
        """
        return self._predictor.decode(NamedImage(name, lambda: content))

    def predict(self, pixels: list[Pixels]) -> list[dict[str, Any]]:
        """Predicts decoded images; on the network's thread.

        Returns:
            For each image `label`, `probabilities` in the order of the classes, `abstained`, `abstention`,
            `unfamiliarity` and `unfamiliar`, as `headstart predict` has them.
        """
        rows = self._predictor.predict_decoded([""] * len(pixels), pixels).to_pylist()
        columns = [f"probability_{name}" for name in self.model.info.classes]
        kept = ("label", "abstained", "abstention", "unfamiliarity", "unfamiliar")
        return [
            {name: row[name] for name in kept} | {"probabilities": [row[each] for each in columns]} for row in rows
        ]

    def explain(self, pixels: list[Pixels], labels: list[int]) -> list[list[list[float]]]:
        """Computes heat maps, on the network's thread. The first call loads the network once more.

        Args:
            pixels: Decoded images.
            labels: Index of the class to explain in each image.

        Returns:
            Rows of each heatmap, 0 to 1.
        """
        from headstart.components.core.networks.heat_maps import compute_heat_maps
        from headstart.components.core.networks.saving import load_model

        with self._explaining:
            if self._explainer is None:
                self._explainer = load_model(self.model.folder)
            info = self.model.info
            heat = compute_heat_maps(self._explainer, info.backbone, np.stack(pixels), np.array(labels, np.int64))
        return [np.round(each, 3).tolist() for each in heat]


def load_version(found: FoundVersion, precision: float, network_thread: ThreadPoolExecutor) -> LoadedVersion:
    """Loads a version, warms it up, and compares it with its SavedModel, while others go on predicting.

    Args:
        found: The version.
        precision: Wanted share of right labels, see `headstart predict`; 0: a label for every image.
        network_thread: Executor with one thread, on which every network of the process runs.

    Raises:
        HeadstartError: If it cannot be loaded, or predicts otherwise than its SavedModel.
    """
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(download_model(found.address))
        model = open_model(files, precision)
        card, network = _read_card(found), load_network(model.folder, True)
        loaded = LoadedVersion(found.name, model, network, card, stack.pop_all(), read_pages(found))
    blank = np.zeros((model.info.image_size, model.info.image_size, 3), np.float32)
    for images in _WARM_UP:
        network_thread.submit(loaded.predict, [blank] * images).result()
    if found.published:
        drawn = predict_drawn_images(found.address, found.published, model.info)
        pixels = [loaded.decode(content, f"drawn image {number}") for number, content in enumerate(drawn.files)]
        read = [each for each in pixels if not isinstance(each, RejectedImage)]
        drawn.compare(network_thread.submit(loaded.predict, read).result())
    return loaded


def _read_card(found: FoundVersion) -> str:
    """Text of the model card of a published version; empty where there is none."""
    name = "model_card.md"
    if not found.published or name not in found.published.files:
        return ""
    return _read_text(f"{found.address}/{name}")


def read_pages(found: FoundVersion) -> dict[str, str]:
    """HTML of the pages of the run in whose output folder the model lies, by name; a published version has none."""
    pages = {}
    for name in () if found.published else RUN_PAGES:
        with contextlib.suppress(NotFound, FileNotFoundError, NotADirectoryError):
            pages[name] = _read_text(f"{found.address}/{name}")
    return pages


def _read_text(file: str) -> str:
    content = open_store(file).read(file) if is_remote(file) else Path(file).read_bytes()
    return content.decode("utf-8", "replace")
