"""What the most used commands must not import: each is a new process, so that nothing lingers from other tests."""

import os
import subprocess
import sys

import pytest

HEAVY = {
    "anomalib",
    "cv2",
    "fastapi",
    "joblib",
    "lightning",
    "numpy",
    "onnxruntime",
    "open_clip",
    "openvino",
    "pydantic",
    "scipy",
    "skimage",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
    "uvicorn",
}

RUN = """
import sys
sys.argv = ["pyimgano", *sys.argv[1:]]
from pyimgano.cli.main import main
try:
    code = main()
except SystemExit as stop:
    code = stop.code
print("MODULES", *sorted(sys.modules), file=sys.stderr)
sys.exit(code)
"""

# pyimgano-anomalib is not installed on older ones.
ON_3_10 = pytest.mark.skipif(sys.version_info < (3, 10), reason="anomalib 2 needs Python ≥ 3.10")

COMMANDS = [
    ("--help",),
    ("--version",),
    ("completion", "bash"),
    ("train", "--help"),
    ("infer", "--help"),
    ("bundle", "watch", "--help"),
    ("bundle", "serve", "--help"),
    ("runs", "drift", "--help"),
    ("export", "--help"),
    ("bundle", "run", "--help"),
    ("runs", "import-anomalib", "--help"),
    ("benchmark", "--help"),
    ("synthesize", "--help"),
    ("components", "list"),
    ("models", "list"),
    ("models", "list", "--json"),
    ("recipes", "list"),
    ("datasets", "list"),
    ("augment", "--help"),
    ("augment", "list"),
    ("augment", "list", "--json"),
    ("plugins", "list"),
    ("cache", "--help"),
    ("cache", "list"),
    ("cache", "list", "--json"),
    ("cache", "info", "efficientnet-lite0"),
    ("cache", "info", "wide_resnet50_2"),
    ("cache", "verify"),
    ("cache", "clear", "--all", "--yes"),
]


def modules_after(code, *arguments, tmp_path):
    # A stranger's plugin may import what it likes; PYIMGANO_PLUGINS keeps it out.
    env = {**os.environ, "PYIMGANO_PLUGINS": "none", "PYIMGANO_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("MODULES "))
    return set(line.split()[1:])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command_imports_nothing_heavy(command, tmp_path):
    assert modules_after(RUN, *command, tmp_path=tmp_path) & HEAVY == set()


@pytest.mark.parametrize("line", ["pyimgano ", "pyimgano train --model ", "pyimgano benchmark --suite "])
def test_completion_imports_nothing_heavy(line, tmp_path):
    asked = {"_PYIMGANO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    code = f"import os\nos.environ.update({asked})\n{RUN}"
    assert modules_after(code, tmp_path=tmp_path) & HEAVY == set()


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("pyimgano.anomalib.specs", marks=ON_3_10),
        "pyimgano.cli",
        "pyimgano.core",
        "pyimgano.datasets",
        "pyimgano.datasets.specs",
        "pyimgano.models",
        "pyimgano.models.specs",
        "pyimgano.openclip",
        "pyimgano.openclip.specs",
        "pyimgano.recipes",
        "pyimgano.recipes.specs",
        "pyimgano.workbench",
        "pyimgano.workbench.specs",
    ],
)
def test_module_imports_nothing_heavy(module, tmp_path):
    code = f"import sys, {module}\nprint('MODULES', *sorted(sys.modules), file=sys.stderr)"
    assert modules_after(code, tmp_path=tmp_path) & HEAVY == set()
