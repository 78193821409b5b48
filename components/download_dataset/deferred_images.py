"""Images of more than 8 bits that state no range: they wait until the range of their form is known."""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headstart.components.core.images.sample_ranges import Histogram, Range
from headstart.components.download_dataset.check_results import read_histogram
from headstart.components.download_dataset.image_checks import CheckedBatch, FileToCheck


class DeferredImages:
    """Collects images that have to be checked again, and the histograms of their samples by form.

    Attributes:
        numbers: Positions of the images among all files, ascending.
    """

    def __init__(self) -> None:
        self.numbers = array("q")
        self._histograms: dict[str, Histogram] = {}
        self._seen = 0

    def take_from(self, batch: CheckedBatch) -> CheckedBatch:
        """Takes images without a range out of a batch, and returns the others.

        Args:
            batch: The next batch, in the order of all files.
        """
        results = batch.results
        has_no_range = pc.and_(pc.is_valid(results["form"]), pc.is_null(results["id"]))
        deferred = has_no_range.to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(deferred)
        self.numbers.extend((self._seen + rows).tolist())
        self._seen += len(batch.files)
        if not len(rows):
            return batch
        for row in results.take(pa.array(rows)).to_pylist():
            histogram = read_histogram(row)
            if row["form"] in self._histograms:
                self._histograms[row["form"]].add(histogram)
            else:
                self._histograms[row["form"]] = histogram
        others = np.flatnonzero(~deferred)
        return CheckedBatch(
            [batch.files[row] for row in others],
            [batch.contents[row] for row in others],
            results.take(pa.array(others)),
        )

    def ranges(self) -> dict[str, Range]:
        """Black and white of each form, from the histograms of all its images."""
        return {form: histogram.range() for form, histogram in sorted(self._histograms.items())}

    def select_files(self, files: Iterable[FileToCheck]) -> Iterator[FileToCheck]:
        """Yields the files of the images taken.

        Args:
            files: All files, in the same order as before.
        """
        numbers = iter(self.numbers)
        wanted = next(numbers, None)
        for number, file in enumerate(files):
            if number == wanted:
                yield file
                wanted = next(numbers, None)
