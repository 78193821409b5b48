"""What is in the image, what is not, and what it says of itself."""

import subprocess
from collections.abc import Callable

import docker
import pytest
from docker.errors import ContainerError
from docker.models.images import Image
from support import ROOT
from support.containers import RESTRICTED

from headstart import __version__
from headstart.components.container_image import component_image
from headstart.components.split_dataset.component import split_dataset

pytestmark = pytest.mark.slow


def test_tag_label_and_package_have_the_version(image: Image, inside: Callable[..., str]) -> None:
    assert image.tags == [component_image()] == [f"headstart:{__version__}"]
    code = "import headstart; print(headstart.__version__)"
    assert inside("python3", "-c", code) == image.labels["org.opencontainers.image.version"] == __version__


def test_labels_say_what_it_is_and_from_where(image: Image) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image.labels.items()}
    assert labels["title"] == "headstart"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["description"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert labels["revision"].removesuffix("-dirty") == head.stdout.strip()


def test_user_is_a_number_other_than_root_and_the_command_is_the_cluster_s(image: Image) -> None:
    config = image.attrs["Config"]
    assert not config.get("Entrypoint")
    assert int(config["User"].partition(":")[0]) > 0
    assert "PYTHONUNBUFFERED=1" in config["Env"]


def test_nothing_to_build_or_install_with(inside: Callable[..., str]) -> None:
    tools = "gcc g++ cc c++ clang ld as make strip nvcc"
    assert inside("sh", "-c", f"for tool in {tools}; do command -v $tool; done; true") == ""
    assert inside("find", "/opt/headstart", "-name", "*.h", "-o", "-name", "*.a", "-o", "-name", "tests") == ""
    with pytest.raises(ContainerError, match="No module named pip"):
        inside("python3", "-m", "pip", "--version")


def test_every_module_is_compiled_and_once(inside: Callable[..., str]) -> None:
    code = (
        "import pathlib\n"
        "site = pathlib.Path('/opt/headstart/lib/python3.11/site-packages')\n"
        "sources = {path.with_suffix('') for path in site.rglob('*.py')}\n"
        "compiled = [path for path in site.rglob('*.pyc')]\n"
        "modules = {path.parent.parent / path.name.rsplit('.', 2)[0] for path in compiled}\n"
        "print(len(compiled) - len(modules), *sorted(sources - modules))\n"
    )
    assert inside("python3", "-c", code) == "0"


def test_size_on_top_of_the_base_image_is_kept_in_check(engine: docker.DockerClient, image: Image, base: str) -> None:
    assert image.attrs["Size"] - engine.images.get(base).attrs["Size"] < 1.52e9


def test_nothing_of_the_image_belongs_to_its_user_or_can_be_changed_by_all(inside: Callable[..., str]) -> None:
    assert (
        inside("find", "/opt/headstart", "(", "!", "-user", "0", "-o", "-perm", "-002", ")", "!", "-type", "l") == ""
    )


def test_user_that_no_file_knows_has_a_name_and_places_to_write(inside: Callable[..., str]) -> None:
    code = (
        "import getpass, os, pathlib\n"
        "for name in ('HOME', 'KERAS_HOME', 'MPLCONFIGDIR', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME'):\n"
        "    folder = pathlib.Path(os.environ[name])\n"
        "    folder.mkdir(exist_ok=True)\n"
        "    (folder / 'file').write_text('')\n"
        "pathlib.Path('file').write_text('')\n"
        "print(getpass.getuser(), os.getuid(), pathlib.Path.home())\n"
    )
    assert inside("python3", "-c", code, **RESTRICTED) == "headstart 1000650000 /tmp"


def test_folder_that_the_user_may_not_read_is_told_of(inside: Callable[..., str]) -> None:
    code = "from headstart.components.list_data.step import list_data; list_data(['/root'])"
    with pytest.raises(ContainerError) as caught:
        inside("python3", "-c", code, **RESTRICTED)
    assert (
        b"HeadstartError: folder '/root' cannot be read by user 1000650000 (Permission denied)" in caught.value.stderr
    )


def test_error_meant_for_the_user_is_the_last_line_and_the_step_fails(inside: Callable[..., str]) -> None:
    container = split_dataset.component_spec.implementation.container
    artifact = '{"artifacts": [{"name": "%s", "type": {"schemaTitle": "system.Dataset"}, "uri": "/tmp/%s"}]}'
    outputs = ", ".join(f'"{name}": {artifact % (name, name)}' for name in ("train", "validation", "test"))
    request = (
        f'{{"inputs": {{"artifacts": {{"dataset": {artifact % ("dataset", "nothing")}}}}},'
        f' "outputs": {{"artifacts": {{{outputs}}}, "outputFile": "/tmp/outputs.json"}}}}'
    )
    arguments = ["--executor_input", request, "--function_to_execute", "split_dataset"]
    with pytest.raises(ContainerError) as caught:
        inside(*container.command, *arguments, **RESTRICTED)
    assert caught.value.exit_status == 1
    last = caught.value.stderr.decode().strip().splitlines()[-1]
    assert "HeadstartError: /tmp/nothing is not a complete dataset: dataset.json is missing" in last
