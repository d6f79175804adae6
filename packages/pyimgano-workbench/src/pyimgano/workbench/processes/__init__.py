"""Work in processes of its own: a piece that takes the whole memory, or crashes in native code, costs itself only."""

from pyimgano.workbench.processes.execution import EXECUTORS, Execution, choose_execution, run_requests
from pyimgano.workbench.processes.serving import serve_requests

__all__ = ["EXECUTORS", "Execution", "choose_execution", "run_requests", "serve_requests"]
