"""What ``pyimgano doctor`` looks at. Each check yields findings; one that fails becomes a finding itself."""

from pyimgano.cli.checks.finding import OK, PROBLEM, WARNING, Finding, run_checks

__all__ = ["OK", "PROBLEM", "WARNING", "Finding", "run_checks"]
