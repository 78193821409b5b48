"""Logs that KFP's launcher has kept among the artifacts of a run, for tasks of which the server has none.

The server's are deleted with the pods, unless it archives them, and it finds no archived ones of a workflow that Argo
has packed, see `Cluster.get_run`.
"""

import re
import tempfile
from pathlib import Path

from headstart.components.core.storage.run_folder import ENDPOINT_VARIABLE, open_run_folder
from headstart.components.core.storage.stores import transfer
from headstart.pipelines.cluster.runs import ClusterRun

PATIENCE_SECONDS = 5.0
"""Patience with a store that does not answer: somebody waits."""

# `<task>/<uuid>/executor-logs-<attempt>`; the launcher of KFP 2.17 names them.
_LOG = re.compile(r"(.+)/executor-logs(?:-(\d+))?")


def read_kept_log(run: ClusterRun, task: str) -> list[str]:
    """Lines of the log of a task's last attempt, as its launcher has uploaded it when the attempt ended.

    Args:
        run: A run in which the code of the task ran.
        task: Name of the task.

    Returns:
        The lines; none where no log was kept, the task ran several times in a loop, or the run does not say where
        its artifacts are.

    Raises:
        HeadstartError: If the store cannot be read.
    """
    if not run.folder:
        return []
    folder = open_run_folder(run.folder, f"set {ENDPOINT_VARIABLE} to its address")
    with transfer.limit_patience(PATIENCE_SECONDS), tempfile.TemporaryDirectory(prefix="headstart-") as work:
        logs = [log for name in folder.names(task) if (log := _LOG.fullmatch(name))]
        if len({log[1] for log in logs}) != 1:
            return []
        last = max(logs, key=lambda log: int(log[2] or 0))
        file = folder.download(last[0], Path(work, "log"))
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
