"""A Kubeflow Pipelines installation to test against, named by the environment; without one, these tests skip.

| variable | meaning |
| --- | --- |
| `HEADSTART_KFP_HOST` | its API, such as http://127.0.0.1:8888 |
| `HEADSTART_IMAGE` | an image of this checkout (`make image`), by a name that the nodes have or can pull |
| `HEADSTART_PIPELINE_ROOT` | where artifacts go: minio://, s3:// or gs://, in the store below |
| `HEADSTART_NAMESPACE` | where pods run; `kubeflow` if unset |
| `AWS_…`, `GOOGLE_…` | how this machine reaches the store, as any client of its kind reads them |
| `HEADSTART_TEST_STORE_SECRET` | a Secret with `accesskey` and `secretkey`, for pods; KFP's own if unset |
| `HEADSTART_TEST_STORE_ENDPOINT` | the S3 endpoint as pods see it; as this machine does if unset |
| `HEADSTART_TEST_SERVE_IMAGE` | an image of the server (`make image-serve`), likewise; none is deployed if unset |
| `HEADSTART_TEST_ACCELERATOR` | what a node has, such as nvidia.com/gpu, for evaluate_model; none if unset |
| `KUBECONFIG` | with kubectl on the PATH, for the tests that look at pods or kill one; those skip without |

A session takes about half an hour on two cores, and cleans up after itself: schedules are deleted, runs under way are
ended, uploaded objects are removed. Runs that have ended stay to be looked at, with their artifacts, in an experiment
of their own.
"""

import os
import uuid
from collections.abc import Iterator

import pytest
import yaml
from support.cluster import Cluster, Finished, cleaning, needed
from support.drawn_images import draw_zip
from support.objects import Objects, open_objects


@pytest.fixture(scope="session")
def objects() -> Iterator[Objects]:
    """A place of one's own in the cluster's store."""
    needed("HEADSTART_KFP_HOST")
    store = open_objects(needed("HEADSTART_PIPELINE_ROOT"), f"headstart-tests/{uuid.uuid4().hex}")
    yield store
    store.delete_all()


@pytest.fixture(scope="session")
def cluster(objects: Objects, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster; commands find it by a settings file, as a user's would."""
    folder = tmp_path_factory.mktemp("cluster")
    accelerator = os.environ.get("HEADSTART_TEST_ACCELERATOR", "")
    asked = {"accelerator_type": accelerator, "accelerator_limit": 1}
    profile = objects.profile() | {
        # Where a node only says that it has a GPU, tasks that train would refuse it.
        "network": {"accelerator_limit": 0},
        "stages": {"evaluate_model": asked} if accelerator else {},
        "retries": {"count": 2, "pause_seconds": 1, "factor": 1},
        "image_pull_policy": "IfNotPresent",
    }
    settings = {
        "host": needed("HEADSTART_KFP_HOST"),
        "namespace": os.environ.get("HEADSTART_NAMESPACE", "kubeflow"),
        "experiment": f"headstart-tests-{uuid.uuid4().hex[:8]}",
        "pipeline_root": needed("HEADSTART_PIPELINE_ROOT"),
        "image": needed("HEADSTART_IMAGE"),
        "profile": "profile.yaml",
    }
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    (folder / "headstart.yaml").write_text(yaml.safe_dump(settings))
    made = Cluster(
        folder, objects, settings["host"], settings["namespace"], settings["experiment"], settings["pipeline_root"]
    )
    with cleaning(made):
        yield made


@pytest.fixture(scope="session")
def data(objects: Objects, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an archive of drawn pictures, which stays as it is."""
    return objects.put("pictures.zip", draw_zip(tmp_path_factory.mktemp("drawn") / "pictures", seed=1))


@pytest.fixture(scope="session")
def finished(cluster: Cluster, objects: Objects, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    data = objects.put("its-own.zip", draw_zip(tmp_path_factory.mktemp("drawn") / "pictures", seed=5))
    return Finished(cluster.submit("--from-scratch", "--wait", data=data), data)
