"""Settings of `download_dataset`."""

import dataclasses
from collections.abc import Sequence

from headstart.components.core.images.sample_ranges import Ranges
from headstart.components.core.sources.corrections import NONE_ACCEPTED
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.group_names import GroupRule
from headstart.components.download_dataset.labels import AUTO, check_level, check_rule


@dataclasses.dataclass(frozen=True)
class DownloadSettings:
    """Settings by which images are read and checked.

    Attributes:
        labels: Rule that gives the classes: ``auto``, ``given``, ``folders`` or ``names``.
        max_side: Longest side to keep, in pixels, at least 32; larger images are reduced.
        max_bad_fraction: Largest share of unusable files, 0 to 1; above it the step fails. Duplicates and images that
            the corrections leave out do not count.
        sha256: Expected SHA-256 of each source, empty where unchecked; or no entries at all.
        corrections: CSV file of right classes, see `read_corrections`; empty: none.
        class_level: Position in a file's path of the folder that is its class, from 1, the topmost; 0: automatic.
        image_column: Column of manifests and Parquet that names or holds the image; empty: one with a usual name.
        label_column: Column of manifests and Parquet that has the class; empty: one with a usual name.
        accept_suggestions: Least confidence from which classes that the corrections suggest are taken unread, 0 to 1;
            `NONE_ACCEPTED`: none is.
        min_classes: Fewest classes that the data must show.
        ranges: Black and white of images of more than 8 bits by their form, such as those of a model; None: the data
            decide.
        group_column: Column of manifests and Parquet whose images stay in one split; empty: `group`, if there is one.
        group_from: Regular expression whose first capture in a file's path is its group, or ``parent`` for the folder
            below the class; empty: none.

    Raises:
        HeadstartError: If a value is invalid.
    """

    labels: str = AUTO
    max_side: int = 512
    max_bad_fraction: float = 0.1
    sha256: Sequence[str] = ()
    corrections: str = ""
    class_level: int = 0
    image_column: str = ""
    label_column: str = ""
    accept_suggestions: float = NONE_ACCEPTED
    min_classes: int = 2
    ranges: Ranges | None = None
    group_column: str = ""
    group_from: str = ""

    @property
    def group_rule(self) -> GroupRule:
        """Rule that gives the group of each file."""
        return GroupRule(self.group_column, self.group_from)

    def __post_init__(self) -> None:
        _ = self.group_rule
        check_rule(self.labels)
        check_level(self.class_level, self.labels)
        if self.max_side < 32:
            raise HeadstartError(f"max_side {self.max_side}: give at least 32 pixels, such as 512")
        if not 0 <= self.max_bad_fraction <= 1:
            raise HeadstartError(f"max_bad_fraction {self.max_bad_fraction}: give a share from 0 to 1, such as 0.1")
        if self.accept_suggestions != NONE_ACCEPTED:
            if not 0 <= self.accept_suggestions <= 1:
                raise HeadstartError(
                    f"accept_suggestions {self.accept_suggestions}: give a confidence from 0 to 1, such as 0.9"
                )
            if not self.corrections:
                raise HeadstartError(
                    "accept_suggestions needs corrections: pass label_errors.csv of a run with --corrections"
                )
        for digest in self.sha256:
            if digest and (len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef")):
                raise HeadstartError(f"sha256 {digest!r}: give 64 hexadecimal digits, or leave it empty")

    def digests(self, data: Sequence[str]) -> Sequence[str]:
        """Expected SHA-256 of each source, empty where unchecked.

        Args:
            data: The sources.

        Raises:
            HeadstartError: If `sha256` has more or fewer values than there are sources.
        """
        if self.sha256 and len(self.sha256) != len(data):
            raise HeadstartError(
                f"sha256 has {len(self.sha256)} values for {len(data)} sources; give one each, empty where unchecked"
            )
        return self.sha256 or [""] * len(data)
