"""KFP interface of `find_champion`."""

from kfp import dsl
from kfp.dsl import Dataset, Input

from headstart.components.container_image import component_image


@dsl.component(base_image=component_image(), packages_to_install=[], install_kfp_package=False)
def find_champion(test: Input[Dataset], publish_uri: str, champion: str = "") -> str:
    """Finds the champion, and fails if its classes differ from those of the test images.

    KFP's cache must never answer for it. It returns a different address for each version, so that cached results for
    one champion are not taken for those of the next.

    Args:
        test: Dataset artifact of the test images.
        publish_uri: Folder, or gs:// or s3:// address, where models are published; empty: none.
        champion: Champion to use if nothing has been published; empty: none.

    Returns:
        Address of a model artifact; empty without a champion.
    """
    from pathlib import Path

    from headstart.components.find_champion import step

    return step.find_champion(Path(test.path), publish_uri, champion)
