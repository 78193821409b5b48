"""KFP interface of `download_dataset`."""

from kfp import dsl
from kfp.dsl import Dataset, Output

from headstart.components.image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def download_dataset(data: str, dataset: Output[Dataset]) -> None:
    """Reads labelled pictures, decodes every one, and writes the good ones as Parquet shards.

    Args:
        data: Folder of class folders, or a zip or tar archive with class folders or Kaggle's `cat.1.jpg` names:
            a path, or an http(s):// address of an archive.
        dataset: The pictures as Parquet shards, `dataset.json` and `quarantine.csv` (file, reason, detail).
    """
    from pathlib import Path

    from headstart.components.download_dataset import step

    info = step.download_dataset(data, Path(dataset.path))
    dataset.metadata.update(images=info.images, classes=len(info.classes), digest=info.digest)
