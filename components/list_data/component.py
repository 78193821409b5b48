"""KFP interface of `list_data`."""

from typing import List

from kfp import dsl

from headstart.components.image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def list_data(data: List[str], corrections: str = "", image_column: str = "", label_column: str = "") -> str:
    """Lists the sources without reading a picture; what it returns changes when they do.

    KFP's cache must never answer for it: what it returns is what tells the cache whether the data are still the same.

    Args:
        data: Sources, as `download_dataset` takes them.
        corrections: Likewise; empty: there are none.
        image_column: Column of manifests that names the picture; empty: by the usual names.
        label_column: Column of manifests that has the class; empty: by the usual names.

    Returns:
        SHA-256 in hexadecimal over names, sizes and versions of all files, and over the corrections.
    """
    from headstart.components.list_data import step

    return step.list_data(data, corrections, image_column, label_column)
