"""The project's automation: ``nox`` runs the tests on the interpreter at hand, ``nox -l`` lists the rest."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Optional

import nox
from packaging.specifiers import SpecifierSet

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["tests"]

PYTHONS = ["3.9", "3.10", "3.11", "3.12"]
ROOT = Path(__file__).resolve().parent
DIST = Path("dist")
# Order of installation does not matter; every list of packages below comes from here.
PROJECTS = {path.parent: nox.project.load_toml(path) for path in sorted(Path("packages").glob("*/pyproject.toml"))}
PLUGINS = sorted(path.parent for path in Path("tests/plugins").glob("*/pyproject.toml"))

# The floors are what `minimums` runs.
TEST_TOOLS = [
    "hypothesis>=6.100",
    "ipykernel>=6.29",  # runs the notebook, as nbclient asks it to
    "jsonschema>=4.18",
    "nbclient>=0.10",
    "playwright>=1.49",  # drives the Chromium that is installed; the first with wheels for 3.9 to 3.13
    "psutil>=5.9.8",
    "pytest>=8.2",
    "pytest-xdist>=3.6",
    "schemathesis>=4.4.4",  # asks the service what its own description promises; the newest that 3.9 gets is 4.4
]
TEST_DATA = ["elpv-dataset>=1.0.0.post1", "scikit-image>=0.22"]  # real images, carried by the packages themselves
# The other implementation that tests/parity and the benchmarks compare with; on 3.9 pip would silently take 0.7.
ANOMALIB = "anomalib>=2; python_version >= '3.10'"
PYTHRESH = "pythresh>=1"  # thresholds that PyOD's users know; brings numba, so no package of ours asks for it
NEWEST = [ANOMALIB, PYTHRESH]  # not for `minimums`
ADEVAL = "adeval>=1.1"  # approximate pixel metrics, beside which the benchmarks measure the exact ones
# The pages are Markdown that code hosts show as well; MyST reads it as it stands, and runs the notebook.
SITE = ["furo>=2025.7", "latex2mathml>=3.77", "myst-nb>=1.3", "sphinx>=8.1,<10", "sphinx-copybutton>=0.5.2"]
LINTERS = ["import-linter>=2.3,<3", "mypy>=1.18,<2", "ruff>=0.14,<0.17"]  # mypy 2 cannot target 3.9
# What mypy reads, no newer than Python 3.9 gets it: newer ones use syntax that mypy refuses when it targets 3.9.
TYPED = ["click<8.2", "numpy<2.1", "packaging<26.4", "pydantic<2.14", "pytest<9", "rich", "tomli", "typer<0.24"]

# A hub that does not answer costs a minute per try; PYTHONUTF8 would hide a forgotten encoding="utf-8".
# Without bytecode, every process that a test starts would compile torch anew.
ENV = {"HF_HUB_OFFLINE": "1", "PYTHONUTF8": None, "PYTHONPATH": None, "PYTHONDONTWRITEBYTECODE": None}
# How good models are on real cells takes minutes, and is the same on every Python: `tests` asks, the others do not.
SHORT = ("-m", "not long")
# Workers of pytest: `TEST_WORKERS=2 nox`. Each then gets one thread, or they would fight for the cores.
WORKERS = os.environ.get("TEST_WORKERS", "")


def projects_for(session: nox.Session) -> dict[Path, dict]:
    """Return the packages that run on the session's Python: a backend may need a newer one than the rest."""
    python: Optional[str] = session.python if isinstance(session.python, str) else None
    version = python or "{}.{}".format(*sys.version_info)
    return {
        folder: project
        for folder, project in PROJECTS.items()
        if SpecifierSet(project["project"]["requires-python"]).contains(version)
    }


def packages_with_extras(session: nox.Session, *, editable: bool) -> list[str]:
    """Return what to give to ``pip install`` for every package of the session's Python with all of its extras."""
    arguments = []
    for folder, project in projects_for(session).items():
        extras = ",".join(project["project"].get("optional-dependencies", {}))
        target = f"./{folder.as_posix()}[{extras}]" if extras else f"./{folder.as_posix()}"
        arguments += ["-e", target] if editable else [target]
    return arguments


def plugin_arguments() -> list[str]:
    """Return what to give to ``pip install`` for the third-party distributions under ``tests/plugins``."""
    return [argument for folder in PLUGINS for argument in ("-e", f"./{folder.as_posix()}")]


def run_pytest(session: nox.Session, *arguments: str) -> None:
    """Run pytest with the project's environment and the session's own arguments."""
    env = dict(ENV)
    if WORKERS:
        arguments = ("-n", WORKERS, *arguments)
        env["OMP_NUM_THREADS"] = "1"
    session.run("pytest", *arguments, *session.posargs, env=env)


def run_tests(session: nox.Session, *arguments: str) -> None:
    """Install every package with all extras, the plugins and the peer, and run the tests."""
    session.install(
        *packages_with_extras(session, editable=True), *plugin_arguments(), *TEST_TOOLS, *TEST_DATA, *NEWEST
    )
    run_pytest(session, *arguments)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on the interpreter at hand."""
    run_tests(session)


@nox.session(python=PYTHONS)
def matrix(session: nox.Session) -> None:
    """All tests but the long ones, on every supported Python."""
    run_tests(session, *SHORT)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def minimums(session: nox.Session) -> None:
    """As `matrix`, with the oldest version of each direct dependency that the packages admit (OpenCV 4 among them)."""
    session.install(
        "--resolution=lowest-direct",
        *packages_with_extras(session, editable=True),
        *plugin_arguments(),
        *TEST_TOOLS,
        *TEST_DATA,
    )
    run_pytest(session, *SHORT)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, layers and types; on Python 3.10 or newer, since a backend needs it."""
    editable = [argument for folder in projects_for(session) for argument in ("-e", f"./{folder.as_posix()}")]
    session.install("--no-deps", *editable)
    session.install(*LINTERS, *TYPED)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("python", "tools/bump_version.py", "--check")
    session.run("lint-imports", "--no-cache")
    session.run("mypy")


@nox.session
def format(session: nox.Session) -> None:
    """Rewrite the sources as `lint` wants them."""
    session.install(next(tool for tool in LINTERS if tool.startswith("ruff")))
    session.run("ruff", "check", "--fix")
    session.run("ruff", "format")


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every sdist and wheel, check what they contain, and install them in two clean environments."""
    shutil.rmtree(DIST, ignore_errors=True)
    session.install("build", "hatchling>=1.27")
    for folder in PROJECTS:
        # sdist first, then the wheel from the sdist: so the sdist is complete
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(DIST), str(folder), silent=True)
    session.run("python", "tools/check_dist.py", str(DIST))
    session.notify("wheels_core")
    session.notify("wheels_all")


def built_requirements(session: nox.Session, *names: str) -> list[str]:
    """Return exact requirements on the built `names` (default: all), to be found in ``dist`` and nowhere else."""
    versions = {p["project"]["name"]: p["project"]["version"] for p in projects_for(session).values()}
    exact = [f"{name}=={versions[name]}" for name in names or versions]
    return ["--find-links", str(DIST), *exact]


def install_built(session: nox.Session, *requirements: str) -> None:
    """Install built distributions, and never what uv remembers of an earlier build of the same version."""
    fresh = [option for name in PROJECTS for option in ("--refresh-package", PROJECTS[name]["project"]["name"])]
    session.install(*(fresh if session.venv_backend == "uv" else ()), *requirements)


@nox.session
def wheels_core(session: nox.Session) -> None:
    """Import all of core from its wheel, with nothing else installed (run by `wheels`)."""
    install_built(session, *built_requirements(session, "pyimgano-core"))
    check = Path("tools/check_core_alone.py").resolve()
    with tempfile.TemporaryDirectory() as elsewhere:
        session.chdir(elsewhere)
        session.run("python", "-I", str(check), env=ENV)
        session.chdir(ROOT)


@nox.session
def wheels_all(session: nox.Session) -> None:
    """Install the built meta package with its extras and use it outside of the checkout (run by `wheels`)."""
    arguments = built_requirements(session)
    meta = PROJECTS[Path("packages/pyimgano")]["project"]
    install_built(session, *arguments, f"pyimgano[all]=={meta['version']}")
    with tempfile.TemporaryDirectory() as elsewhere:
        env = {**ENV, "PYIMGANO_CACHE_DIR": str(Path(elsewhere, "cache"))}
        session.chdir(elsewhere)
        session.run("pyimgano", "--help", env=env)
        session.run("pyimgano", "models", "list", env=env)
        session.run("pyimgano", "doctor", env=env)
        session.run("pyimgano", "demo", env=env)
        session.chdir(ROOT)  # Windows does not remove the folder that a process stands in


@nox.session
def docs(session: nox.Session) -> None:
    """The site in `build/site`: pictures and reference by the program, the notebook run, warnings as errors."""
    session.install(*packages_with_extras(session, editable=True), "elpv-dataset>=1.0.0.post1", *SITE)
    made, site = Path("docs/_made"), Path("build/site")
    for folder in (made, site):
        shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "tools/write_site_reference.py", env=ENV)
    session.run("python", "tools/make_pictures.py", env=ENV, silent=True)
    strict = ("--fail-on-warning", "--keep-going", "--nitpicky", "--fresh-env")
    session.run("sphinx-build", *strict, "-q", "-c", "docs", "-b", "html", ".", str(site), env=ENV)
    session.log(f"open {site / 'index.html'}")


@nox.session
def demo(session: nox.Session) -> None:
    """The README's first command in a clean environment."""
    session.install(
        "./packages/pyimgano-core",
        "./packages/pyimgano-models[lite]",
        "./packages/pyimgano-workbench[demo]",
        "./packages/pyimgano-cli",
    )
    session.run("pyimgano", "demo", *session.posargs, env=ENV)


@nox.session(python="3.11")
def bench(session: nox.Session) -> None:
    """The speed and memory table, beside anomalib in one run."""
    session.install(*packages_with_extras(session, editable=True), *TEST_TOOLS, *TEST_DATA, ANOMALIB, ADEVAL)
    session.run("python", "-m", "benchmarks", *session.posargs, env=ENV)
