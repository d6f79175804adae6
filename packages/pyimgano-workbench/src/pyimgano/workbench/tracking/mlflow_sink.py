"""Runs in MLflow: parameters, metrics, curves of trainings, and the report."""

from __future__ import annotations

import time
from typing import Optional

from pyimgano.core.sinks import FinishedRun

__all__ = ["MlflowSink"]

BATCH = 1000
"""Metrics of one request: the most that MLflow takes."""

PARAM_LENGTH = 6000
"""Characters of a parameter that MLflow takes."""


class MlflowSink:
    """Makes one run of an MLflow experiment.

    Parameters
    ----------
    tracking_uri : str, optional
        A server (``http://…``) or a store; default: MLflow's own (``MLFLOW_TRACKING_URI``).
    experiment : str
        Made when it is missing.
    """

    def __init__(self, tracking_uri: Optional[str] = None, experiment: str = "pyimgano") -> None:
        self.tracking_uri = tracking_uri
        self.experiment = experiment

    def record(self, run: FinishedRun) -> None:
        """Write the run, as finished or not at all."""
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        client = MlflowClient(self.tracking_uri)
        found = client.get_experiment_by_name(self.experiment)
        place = client.create_experiment(self.experiment) if found is None else found.experiment_id
        mine = client.create_run(place, run_name=run.name)
        id, now = mine.info.run_id, int(1000 * time.time())
        try:
            params = [Param(key, str(value)[:PARAM_LENGTH]) for key, value in run.config.items()]
            for start in range(0, len(params), 100):  # the most of one request
                client.log_batch(id, params=params[start : start + 100])
            values = [Metric(name, value, now, 0) for name, value in run.metrics.items()]
            for row in run.steps:
                values += [Metric(f"{row.category}/{name}", value, now, row.step) for name, value in row.values.items()]
            for start in range(0, len(values), BATCH):
                client.log_batch(id, metrics=values[start : start + BATCH])
            for path in (run.folder / "report.json", run.folder / "report.html"):
                if path.is_file():
                    client.log_artifact(id, str(path))
        except BaseException:
            client.set_terminated(id, "FAILED")
            raise
        client.set_terminated(id, "FINISHED")
