"""The script, and the folder for GitOps."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
import yaml
from support import ROOT
from support.kfp_api import kfp_serving

from headstart.components.publish_model.kserve import write_inference_service
from headstart.pipelines.cluster.settings import load_settings
from headstart.pipelines.definitions.profile import load_profile

EXAMPLES = ROOT / "examples"
GITOPS = EXAMPLES / "gitops"


@pytest.mark.slow
def test_minimal_script_trains_and_predicts(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, EXAMPLES / "minimal.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "report in out/report.html" in done.stdout and "3 predictions" in done.stdout
    assert (tmp_path / "out" / "report.html").is_file()


def test_profile_and_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GITOPS)
    settings = load_settings({}, "headstart.yaml")
    profile = load_profile(settings.profile).with_images(settings.registry, settings.image)
    assert profile.network.accelerator_limit == 1
    assert all(image.startswith("europe-docker.pkg.dev/example/team/headstart") for image in profile.images())


def test_applying_makes_the_schedule_once_and_hands_the_service_to_kubectl(tmp_path: Path) -> None:
    folder = shutil.copytree(GITOPS, tmp_path / "gitops")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").write_text(f'#!/bin/sh\necho "$PWD $*" >> {tmp_path}/kubectl.log\n')
    (programs / "kubectl").chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    with kfp_serving() as server:
        environment = os.environ | {"PATH": path, "HEADSTART_KFP_HOST": server.address}
        for _ in range(2):
            done = subprocess.run([folder / "apply.sh"], env=environment, cwd="/", capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        (schedule,) = server.schedules.values()
    parameters = schedule.runtime_config.parameters
    assert (schedule.display_name, schedule.trigger.cron_schedule.cron) == ("pets-weekly", "0 0 3 * * mon")
    assert parameters["data"] == ["gs://example-photos/pets"]
    assert parameters["publish_uri"] == "gs://example-models/pets"
    handed_on = (tmp_path / "kubectl.log").read_text().splitlines()
    assert handed_on == [f"{folder} apply --filename inference-service.yaml"] * 2


def test_service_is_what_a_publication_writes(tmp_path: Path) -> None:
    service = GITOPS / "inference-service.yaml"
    address = yaml.safe_load(service.read_text())["spec"]["predictor"]["model"]["storageUri"]
    write_inference_service(tmp_path, address.rpartition("/")[0])
    release = ".".join(tf.__version__.split(".")[:2])
    written = (tmp_path / "inference_service.yaml").read_text()
    assert service.read_text().replace('"2.21.0"', f'"{release}.0"') == written
