"""Runs in TensorBoard: a folder of event files each, written without torch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.sinks import FinishedRun

__all__ = ["TensorBoardSink"]


class TensorBoardSink:
    """Writes a run's metrics, its config as text, and the curves of its trainings.

    Parameters
    ----------
    log_dir : str, optional
        Folder for the runs' folders; default: ``tensorboard`` beside the run directories.
    """

    def __init__(self, log_dir: Optional[str] = None) -> None:
        self.log_dir = log_dir

    def record(self, run: FinishedRun) -> None:
        """Write the run's event file."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        parent = run.folder.parent / "tensorboard" if self.log_dir is None else Path(self.log_dir)
        writer = EventFileWriter(str(parent / run.name))
        try:
            for name, value in run.metrics.items():
                writer.add_event(_event(0, Summary.Value(tag=name, simple_value=value)))
            for row in run.steps:
                for name, value in row.values.items():
                    writer.add_event(_event(row.step, Summary.Value(tag=f"{row.category}/{name}", simple_value=value)))
            writer.add_event(_event(0, _text("config", run)))
            writer.flush()
        finally:
            writer.close()


def _event(step: int, value: Any) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Event(wall_time=time.time(), step=step, summary=Summary(value=[value]))


def _text(tag: str, run: FinishedRun) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    # A Markdown table, which is what its page of texts draws.
    lines = ["| key | value |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in run.config.items())]
    tensor = TensorProto(
        dtype=DT_STRING,
        string_val=["\n".join(lines).encode("utf-8")],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    return Summary.Value(tag=f"{tag}/text_summary", metadata=metadata, tensor=tensor)
