"""`headstart serve` as a process: a published champion answers as `predict` does, is followed, and ends in order."""

import base64
import functools
import json
import re
import shutil
import signal
from pathlib import Path

import pytest
import requests
from support.commands import Started, eventually, headstart

from headstart.components.core.registry.registry import read_champion, roll_back
from headstart.pipelines.sample.folder import draw_sample

pytestmark = pytest.mark.slow

pytest.importorskip("kserve", reason="the extra `serve` is not installed")

REGISTRY = Path(__file__).parents[1] / "compatibility" / "artifacts" / "registry"


def test_champion_answers_as_predict_does_and_is_followed(tmp_path: Path) -> None:
    models = shutil.copytree(REGISTRY, tmp_path / "pets")
    draw_sample(tmp_path / "pictures", per_class=2, seed=3)
    files = sorted((tmp_path / "pictures").glob("*.1.jpg"))
    serving = Started("serve", models, "--port", "0")
    try:
        assert serving.process.stdout is not None
        found, before = None, []
        while found is None:
            line = serving.process.stdout.readline()
            assert line, "the server has ended"
            before.append(line)
            found = re.search(r"answers at\s+(http://\S+)/v1/models/pets:predict", line)
        url = found[1]
        assert all(line.startswith("event=") for line in before[:-1]), "libraries write into the log"
        images = [{"image_bytes": {"b64": base64.b64encode(each.read_bytes()).decode()}} for each in files]
        for _ in range(2):
            champion = read_champion(str(models))
            assert champion is not None
            answer = requests.post(f"{url}/v1/models/pets:predict", json={"instances": images}, timeout=60).json()
            assert answer["model_version"] == champion.version.version
            lines = headstart("predict", champion.address, *files).stdout.splitlines()
            for line, served in zip(lines, answer["predictions"], strict=True):
                row = json.loads(line)
                assert served["label"] == row["label"]
                by_class = [row[f"probability_{name}"] for name in answer["classes"]]
                assert served["probabilities"] == pytest.approx(by_class, abs=1e-5)
            (other,) = {each.name for each in models.iterdir() if each.is_dir()} - {champion.version.version}
            roll_back(str(models), other)
            assert eventually(functools.partial(_answers, url, other), 120)
        heat = requests.post(f"{url}/v1/models/pets:explain", json={"instances": images[:1]}, timeout=60).json()
        assert max(map(max, heat["explanations"][0]["heatmap"])) in (0, 1)
        serving.process.send_signal(signal.SIGTERM)
        assert serving.process.wait(60) == 0
    finally:
        serving.process.kill()
        serving.process.wait()


def _answers(url: str, version: str) -> bool:
    return bool(requests.get(f"{url}/v2/health/ready", timeout=60).json()["model_version"] == version)
