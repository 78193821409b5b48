"""The verdict and the figures of a run, from the artifacts that its tasks have left in the run's folder."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from headstart.components.core.artifacts.decision import read_decision
from headstart.components.core.artifacts.evaluation import FINAL, METRICS, read_metrics
from headstart.components.core.storage.run_folder import ENDPOINT_VARIABLE, open_run_folder
from headstart.components.core.storage.stores import Tree, is_local, without_secrets
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import event

_DECISION = ("compare-models", "decision")
_METRICS = ("evaluate-model", f"evaluation/{METRICS}")
"""Folders of tasks, and names of files in them; on a cluster KFP puts a folder with a random name between the two."""


@dataclasses.dataclass(frozen=True)
class RunFindings:
    """What a run has found out about its model.

    Attributes:
        verdict: Verdict of the gate; empty: there was no gate, or it is not known.
        why: Reasons of the gate in words; empty: likewise.
        images: Number of test images; 0: not known.
        accuracy: Accuracy on the test images; None: not known.
        accuracy_interval: 95 % confidence interval of the accuracy; empty: not known.
    """

    verdict: str = ""
    why: str = ""
    images: int = 0
    accuracy: float | None = None
    accuracy_interval: Sequence[float] = ()


def read_findings(uri: str, run: str) -> RunFindings:
    """Reads the gate's decision and the figures of the final model in the folder of a run.

    A file that is not there, or of which there are several, tells nothing: not every pipeline has a gate, and what
    comes from KFP's cache lies in the folder of an earlier run. A store that cannot be read is a warning in the log.

    Args:
        uri: Address or path of an output artifact of the run; empty: not known.
        run: Id of the run on a cluster.
    """
    found = RunFindings()
    if not uri:
        return found
    try:
        tree = open_run_folder(find_run_folder(uri, run), f"set {ENDPOINT_VARIABLE} under env in the profile")
        with tempfile.TemporaryDirectory(prefix="headstart-") as work:
            if decision := _download(tree, _DECISION, Path(work, "decision")):
                values = read_decision(decision)
                found = dataclasses.replace(found, verdict=values["verdict"], why="; ".join(values["reasons"]))
            if metrics := _download(tree, _METRICS, Path(work, METRICS)):
                figures = read_metrics(metrics.parent)[FINAL]
                names = ("images", "accuracy", "accuracy_interval")
                found = dataclasses.replace(found, **{name: figures[name] for name in names})
    except Exception as error:
        # The notification is sent without them. The text of an error that nobody has written for users may have an
        # address with credentials.
        text = str(error) if isinstance(error, HeadstartError) else type(error).__name__
        event("warning", text=f"the verdict and the figures of the run cannot be read: {text}")
    return found


def find_run_folder(uri: str, run: str) -> str:
    """The folder of a run, from the address of one of its output artifacts.

    On a cluster that is `<root>/<pipeline>/<run>/<task>/<uuid>/<output>`, perhaps with a query for KFP's launcher; on
    this machine `<root>/<run>/<task>/<output>`.

    Args:
        uri: Address or path of an output artifact.
        run: Id of the run on a cluster.

    Raises:
        HeadstartError: If the address is not of that form.
    """
    if is_local(uri):
        return str(Path(uri).parents[1])
    address = uri.partition("?")[0]
    scheme, _, rest = address.partition("://")
    parts = rest.split("/")
    if parts[-4:-3] != [run]:
        raise HeadstartError(f"{without_secrets(address)} is not in a folder of the run {run}")
    return f"{scheme}://{'/'.join(parts[:-3])}"


def _download(tree: Tree, place: tuple[str, str], target: Path) -> Path | None:
    """Downloads the only output of this name of a task; None where there is none, or more than one."""
    folder, output = place
    wanted = PurePosixPath(output).parts
    found = [name for name in tree.names(folder) if PurePosixPath(name).parts[-len(wanted) :] == wanted]
    return tree.download(found[0], target) if len(found) == 1 else None
