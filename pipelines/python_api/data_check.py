"""`headstart.check_data`."""

import dataclasses
import functools
import itertools
import os
from pathlib import Path
from typing import Unpack

from headstart.components.core.artifacts.dataset import NEAR_DUPLICATES, DatasetInfo, read_columns, read_dataset_info
from headstart.components.core.artifacts.hygiene import Finding, HygieneSummary, read_hygiene
from headstart.components.core.sources.quarantine import QUARANTINE, QuarantinedFile, read_quarantine
from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.local.output_folder import LOG
from headstart.pipelines.local.preparation import prepare_data_check
from headstart.pipelines.python_api.html import Page, link, table, text
from headstart.pipelines.python_api.options import (
    DataCheckOptions,
    DataSources,
    PathLike,
    python_words,
    read_options,
    to_path,
)
from headstart.pipelines.python_api.paths import show_path
from headstart.pipelines.python_api.running import run_prepared

_ROWS = 10


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """Images that hardly differ; a split keeps them together.

    Attributes:
        paths: Paths of the images in their sources.
        labels: Class of each.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def contradictory(self) -> bool:
        """Whether the images are of several classes, so that a label may be wrong."""
        return len(set(self.labels)) > 1


class DataCheck:
    """Result of a check of labelled images: what was found in them, and the page about it.

    Args:
        output: Output folder of `headstart.check_data`.

    Raises:
        HeadstartError: If the folder has no results of it.
    """

    def __init__(self, output: str | os.PathLike[str]) -> None:
        self.output = Path(output).absolute()
        self._info: DatasetInfo = read_dataset_info(self.dataset)
        summary = read_hygiene(self.dataset)
        if summary is None:
            raise HeadstartError(f"{show_path(self.dataset)} has no summary of the data; check the data again")
        self._summary: HygieneSummary = summary

    @property
    def dataset(self) -> Path:
        """Folder of the usable images, as Parquet files."""
        return self.output / "dataset"

    @property
    def classes(self) -> dict[str, int]:
        """Number of usable images of each class."""
        return dict(zip(self._info.classes, self._info.counts, strict=True))

    @property
    def images(self) -> int:
        """Number of usable images."""
        return self._info.images

    @property
    def findings(self) -> list[Finding]:
        """Problems that were found, each with a title and a text: shortcuts, odd images, few images and more."""
        return list(self._summary.findings)

    @functools.cached_property
    def near_duplicates(self) -> list[NearDuplicates]:
        """Groups of images that hardly differ; those of several classes first, then the largest."""
        # Where the user names groups, `group` joins them with near-duplicates.
        near = NEAR_DUPLICATES if self._info.grouping else "group"
        columns = read_columns(self.dataset, [near, "image.path", "label"]).to_pydict()
        names = self._info.classes
        rows = sorted(
            zip(columns[near], columns["image.path"], columns["label"], strict=True), key=lambda row: row[0]
        )
        groups = [list(group) for _, group in itertools.groupby(rows, key=lambda row: row[0])]
        found = [
            NearDuplicates(tuple(path for _, path, _ in group), tuple(names[label] for *_, label in group))
            for group in groups
            if len(group) > 1
        ]
        return sorted(found, key=lambda each: (not each.contradictory, -len(each.paths), each.paths))

    @functools.cached_property
    def rejected(self) -> list[QuarantinedFile]:
        """Files that were left out, each with its reason."""
        return read_quarantine(self.output / QUARANTINE)

    @property
    def page(self) -> Page:
        """The page about the data."""
        return Page(self.output / "data.html")

    @property
    def log(self) -> Path:
        """File with the output of every step."""
        return self.output / LOG

    def __fspath__(self) -> str:
        return os.fspath(self.output)

    def __repr__(self) -> str:
        return "\n".join(
            [
                f"DataCheck in {show_path(self.output)}: {self._summary.first_line}",
                *(f"  {line}" for line in self._counts()),
                *(f"  {each.title}" for each in self.findings),
                f"  page: {self.page}",
            ]
        )

    def _repr_html_(self) -> str:
        findings = "".join(f"<li><b>{text(each.title)}</b> {text(each.text)}</li>" for each in self.findings)
        rejected = [(each.file, each.reason, each.detail) for each in self.rejected[:_ROWS]]
        parts = [
            f"<p>{text(self._summary.first_line)}</p>",
            table(("class", "images"), list(self.classes.items())),
            *(f"<p>{text(line)}</p>" for line in self._counts()),
            f"<ul>{findings}</ul>" if findings else "",
            table(("left out", "reason", "detail"), rejected) if rejected else "",
            f"<p>{link(self.page.path, 'Page about the data')}</p>",
        ]
        return "".join(parts)

    def _counts(self) -> list[str]:
        near, left_out = self._summary.near_duplicates, sum(self._summary.left_out.values())
        return [
            f"{self._summary.files:,} files, {self.images:,} usable images",
            *([f"{left_out:,} files were left out"] if left_out else []),
            *([f"{near:,} images have a near-duplicate"] if near else []),
        ]


def check_data(
    data: DataSources, *, output: PathLike = "checked", progress: bool = True, **options: Unpack[DataCheckOptions]
) -> DataCheck:
    """Checks labelled images by the first steps of a training, without training anything.

    It finds broken files, copies, near-duplicates, odd images and shortcuts in the data. Doubtful labels need the
    features of a network: `train` lists them in its result.

    Args:
        data: Labelled images, or a list of several sources, see `train`.
        output: Folder that receives the page about the data, the usable images and the list of the others.
        progress: Whether to show the progress.
        options: Further options of `headstart run` about data, see `DataCheckOptions`.

    Returns:
        What was found.

    Raises:
        HeadstartError: If an option is wrong, the data cannot be used, or a step failed.
        KeyboardInterrupt: If it was interrupted.
    """
    with python_words():
        parameters = read_options("check_data", data, dict(options)).resolve_data_paths()
        prepared = prepare_data_check(parameters, to_path(output))
        run_prepared(prepared, progress)
        return DataCheck(prepared.request.output)
