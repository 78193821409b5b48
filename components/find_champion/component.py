"""KFP interface of `find_champion`."""

from kfp import dsl
from kfp.dsl import Dataset, Input

from headstart.components.container_image import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def find_champion(test: Input[Dataset], publish_uri: str, champion: str = "") -> str:
    """Looks up which published model is in use, and fails if its classes are others than those of today's images.

    KFP's cache must never answer for it: what it returns is another address for another model, so that what was found
    out about one is not taken for the next.

    Args:
        test: Dataset artifact that both models are to be compared on.
        publish_uri: Where models are published: a folder, or a gs:// or s3:// address; empty: nowhere.
        champion: The model in use where nothing has been published; empty: there is none.

    Returns:
        Address of a model artifact; empty: there is none.
    """
    from pathlib import Path

    from headstart.components.find_champion import step

    return step.find_champion(Path(test.path), publish_uri, champion)
