"""The hygiene page: a report on the quality of the data, to be read before training, as one HTML file."""

from importlib.metadata import version
from platform import python_version

from headstart.components.core.artifacts.hygiene import Finding, HygieneSummary
from headstart.components.core.reports import page
from headstart.components.core.sources.quarantine import CORRECTED, QUARANTINE
from headstart.components.download_dataset.class_names import describe_classes
from headstart.components.download_dataset.hygiene_data import HygieneData, HygieneStatistics, count_values
from headstart.components.download_dataset.hygiene_figures import (
    class_bars,
    describe_sizes,
    group_gallery,
    odd_gallery,
    value_bars,
)
from headstart.components.download_dataset.hygiene_warnings import find_warnings, low_contrast_warnings, times
from headstart.components.download_dataset.labels import LEFT_OUT
from headstart.components.download_dataset.shortcuts import MIN_IMAGES_PER_CLASS

_MAX_FILES, _MAX_GROUPS = 200, 24

_REASON_SENTENCES = {
    "conflict": "The same pixels are in two classes, and one of the labels is wrong. None of the files is used.",
    CORRECTED: "The corrections leave it out.",
    "damaged": "The decoder failed.",
    "duplicate": "The same pixels as another file of its class, which is used.",
    "empty": "No bytes.",
    LEFT_OUT: "It lies in a folder that is no class, or has no class beside files that have one.",
    "leak": "The same pixels as a file of another ready-made split, which is used.",
    "missing": "A table names it, but it is not there.",
    "no class": "Neither its folder nor its name gives a class.",
    "not an image": "Its content is no image, whatever its name.",
    "strip": "Too narrow to be seen in a square.",
    "too large": "Larger than the limit for reading into memory.",
    "too small": "Too small to show anything.",
    "truncated": "The file ends before the image does.",
    "unsupported": "A format that is not supported.",
}


class HygienePage:
    """The hygiene page and its summary.

    Args:
        data: Images and files of the data set.
    """

    def __init__(self, data: HygieneData) -> None:
        self._data = data
        self._statistics = HygieneStatistics(data)
        self._warnings = find_warnings(self._statistics)

    def summary(self) -> HygieneSummary:
        """The key figures of the page."""
        statistics = self._statistics
        return HygieneSummary(
            files=statistics.files,
            used=statistics.used,
            left_out=dict(statistics.reasons.most_common()),
            near_duplicates=statistics.near_duplicates,
            findings=[Finding(warning.title, warning.text) for warning in self._warnings],
            classes=describe_classes(dict(zip(statistics.classes, statistics.counts, strict=True))),
            told=self._data.label_source,
        )

    def low_contrast_warnings(self) -> list[str]:
        """A sentence for each form of images of more than 8 bits some of which have low contrast after scaling."""
        return low_contrast_warnings(self._statistics)

    def render(self, date: str = "", run: str = "") -> str:
        """Renders the page as HTML.

        Args:
            date: Time at which the data were read, ISO 8601 in UTC; empty: unknown.
            run: The run in words; empty: unknown.
        """
        data, statistics = self._data, self._statistics
        cameras = {name or "not recorded": n for name, n in count_values(statistics.properties["exif"]).items()}
        return page.render(
            __package__,
            "hygiene.html.j2",
            page.PageHeader("Data page", date, self.summary().first_line, run=run),
            used=statistics.used,
            files=statistics.files,
            names=statistics.classes,
            warnings=self._warnings,
            classes=class_bars(statistics),
            splits=statistics.splits,
            balance=_describe_balance(statistics.counts),
            reasons=[(bar, _REASON_SENTENCES.get(bar.name, "")) for bar in value_bars(statistics.reasons)],
            quarantined=data.quarantined[:_MAX_FILES],
            quarantine=QUARANTINE,
            ignored=data.ignored,
            grouped=statistics.near_duplicates,
            groups=len(statistics.groups),
            group_galleries=[group_gallery(statistics, rows) for rows in statistics.groups[:_MAX_GROUPS]],
            odd=statistics.odd_images,
            odd_galleries=[odd_gallery(statistics, look) for look, rows in statistics.odd.items() if rows],
            sizes=describe_sizes(statistics.properties),
            formats=value_bars(count_values(statistics.properties["format"])),
            cameras=value_bars(cameras),
            deep=statistics.deep_forms,
            shortcuts=statistics.shortcuts,
            min_images_per_class=MIN_IMAGES_PER_CLASS,
            provenance=self._provenance(),
        )

    def _provenance(self) -> dict[str, str]:
        libraries = ("headstart", "pillow", "numpy", "scipy", "scikit-learn", "pyarrow")
        return {
            **{f"Source {number}": name for number, name in enumerate(self._data.sources, start=1)},
            "Classes": self._data.why,
            "Dataset (SHA-256)": self._data.digest,
            "Versions": ", ".join([f"python {python_version()}", *(f"{name} {version(name)}" for name in libraries)]),
        }


def _describe_balance(counts: list[int]) -> str:
    ratio = max(counts) / max(1, min(counts))
    if ratio < 1.2:
        return "The classes have the same number of images, or nearly so."
    return f"The largest class has {times(ratio)} as many images as the smallest."
