"""The project's automation: ``nox`` runs the tests on the interpreter at hand, ``nox -l`` lists the rest."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Optional

import nox
from nox.command import CommandFailed
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
    "hatchling>=1.27",  # builds the plugin that `pyimgano plugins new` makes
    "hypothesis>=6.100",
    "jsonschema>=4.18",
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
SBOM_TOOL = "cyclonedx-bom>=7,<8"
# What mypy reads, no newer than Python 3.9 gets it: newer ones use syntax that mypy refuses when it targets 3.9.
TYPED = ["click<8.2", "numpy<2.1", "packaging<26.4", "pydantic<2.14", "pytest<9", "rich", "tomli", "typer<0.24"]

# What `resolve` looks at, as uv calls it. On arm64, OpenVINO's wheels for Python 3.12 need glibc 2.35 (Ubuntu 22.04).
PLATFORMS = [
    "x86_64-manylinux_2_28",
    "aarch64-manylinux_2_35",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
]
# anomalib asks for it from 2.1 on, and it is the one dependency without a wheel: Python alone, so it builds anywhere.
BUILT_ANYWHERE = "freia"

# A hub that does not answer costs a minute per try; PYTHONUTF8 would hide a forgotten encoding="utf-8".
# Without bytecode, every process that a test starts would compile torch anew.
ENV = {"HF_HUB_OFFLINE": "1", "PYTHONUTF8": None, "PYTHONPATH": None, "PYTHONDONTWRITEBYTECODE": None}
# How good models are on real cells takes minutes, and is the same on every Python: `tests` asks, the others do not.
SHORT = ("-m", "not long and not pages")
# Workers of pytest, each with one thread, or they would fight for the cores. A worker takes up to 2 GiB of memory.
MOST_WORKERS = 4


def python_of(session: nox.Session) -> str:
    """Return the version of the session's Python, such as ``3.9``."""
    python: Optional[str] = session.python if isinstance(session.python, str) else None
    return python or "{}.{}".format(*sys.version_info)


def projects_for(python: str) -> dict[Path, dict]:
    """Return the packages that run on a Python: a backend may need a newer one than the rest."""
    return {
        folder: project
        for folder, project in PROJECTS.items()
        if SpecifierSet(project["project"]["requires-python"]).contains(python)
    }


def packages_with_extras(python: str, *, editable: bool) -> list[str]:
    """Return what to give to ``pip install`` for every package that runs on `python`, with all of its extras."""
    arguments = []
    for folder, project in projects_for(python).items():
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
    # Who gives arguments may want a debugger, or one test at once: then there are workers only on request.
    usual = 0 if session.posargs else min(os.cpu_count() or 1, MOST_WORKERS)
    workers = os.environ.get("TEST_WORKERS") or str(usual)
    if workers not in ("0", "1"):
        arguments = ("-n", workers, *arguments)
        env["OMP_NUM_THREADS"] = "1"
    session.run("pytest", *arguments, *session.posargs, env=env)


def run_tests(session: nox.Session, *arguments: str) -> None:
    """Install every package with all extras, the plugins and the peer, and run the tests."""
    session.install(
        *packages_with_extras(python_of(session), editable=True), *plugin_arguments(), *TEST_TOOLS, *TEST_DATA, *NEWEST
    )
    run_pytest(session, *arguments)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on the interpreter at hand; the pages of the documentation are run by `docs`."""
    run_tests(session, "-m", "not pages")


@nox.session(python=PYTHONS)
def matrix(session: nox.Session) -> None:
    """All tests but the long ones, on every supported Python."""
    run_tests(session, *SHORT)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def minimums(session: nox.Session) -> None:
    """As `matrix`, with the oldest version of each direct dependency that the packages admit (OpenCV 4 among them)."""
    session.install(
        "--resolution=lowest-direct",
        *packages_with_extras(python_of(session), editable=True),
        *plugin_arguments(),
        *TEST_TOOLS,
        *TEST_DATA,
    )
    run_pytest(session, *SHORT)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, layers and types, those of Windows too; on Python 3.10 or newer, since a backend needs it."""
    editable = [
        argument for folder in projects_for(python_of(session)) for argument in ("-e", f"./{folder.as_posix()}")
    ]
    session.install("--no-deps", *editable)
    session.install(*LINTERS, *TYPED)
    session.run("ruff", "check")
    # A rule under trial: text without an encoding is read by the locale's, which is not UTF-8 on Windows.
    session.run("ruff", "check", "--preview", "--select=PLW1514")
    session.run("ruff", "format", "--check")
    session.run("python", "tools/bump_version.py", "--check")
    session.run("lint-imports", "--no-cache")
    session.run("mypy")
    session.run("mypy", "--platform=win32")  # what the standard library lacks there


@nox.session
def format(session: nox.Session) -> None:
    """Rewrite the sources as `lint` wants them."""
    session.install(next(tool for tool in LINTERS if tool.startswith("ruff")))
    session.run("ruff", "check", "--fix")
    session.run("ruff", "format")


@nox.session(venv_backend="none")
def resolve(session: nox.Session) -> None:
    """Find wheels for all packages with all extras, the newest and the oldest admitted: each Python on each system.

    That all of them fit into one environment says that each of them does. Nothing is installed.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header"]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "wanted.in")
        for python, platform, resolution in itertools.product(PYTHONS, PLATFORMS, ("highest", "lowest-direct")):
            targets = packages_with_extras(python, editable=False)
            # absolute, because what stands in a file is relative to it
            wanted.write_text("\n".join(str(ROOT / target) for target in targets), encoding="utf-8")
            wheels_only = ["--only-binary=:all:", f"--no-binary={BUILT_ANYWHERE}"]
            options = [f"--python-version={python}", f"--python-platform={platform}", f"--resolution={resolution}"]
            try:
                session.run(*command, *wheels_only, *options, str(wanted), external=True, silent=True)
            except CommandFailed:  # nox has shown what uv said
                failed.append(f"{resolution} on Python {python}, {platform}")
    if failed:
        session.error("no wheels that fit together: " + "; ".join(failed))


def build_all(session: nox.Session, source: Path, target: Path) -> None:
    """Build every sdist, and its wheel from it (so the sdist is complete), dated like the last commit."""
    date = session.run("git", "log", "-1", "--format=%ct", external=True, silent=True)
    for folder in PROJECTS:
        command = ["python", "-m", "build", "--no-isolation", "--outdir", str(target), str(source / folder)]
        session.run(*command, env={"SOURCE_DATE_EPOCH": str(date).strip()}, silent=True)


def build_and_check(session: nox.Session) -> None:
    """Build everything into ``dist``, check what it contains, and have it installed in two clean environments."""
    shutil.rmtree(DIST, ignore_errors=True)
    session.install("build", "hatchling>=1.27")
    build_all(session, ROOT, DIST)
    session.run("python", "tools/check_dist.py", str(DIST))
    session.notify("wheels_core")
    session.notify("wheels_all")


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every sdist and wheel, check what they contain, and install them in two clean environments."""
    build_and_check(session)


def built_requirements(session: nox.Session, *names: str) -> list[str]:
    """Return exact requirements on the built `names` (default: all)."""
    versions = {p["project"]["name"]: p["project"]["version"] for p in projects_for(python_of(session)).values()}
    return [f"{name}=={versions[name]}" for name in names or versions]


def install_built(session: nox.Session, exact: list[str], *extras: str) -> None:
    """Install built distributions, from ``dist`` and nowhere else, then what they need and `extras` ask for."""
    links = f"--find-links={DIST}"
    # uv remembers earlier builds of the same version.
    fresh = [option for name in PROJECTS for option in ("--refresh-package", PROJECTS[name]["project"]["name"])]
    session.install(*(fresh if session.venv_backend == "uv" else ()), "--no-index", "--no-deps", links, *exact)
    session.install(links, *exact, *extras)


@nox.session
def wheels_core(session: nox.Session) -> None:
    """Import all of core from its wheel, with nothing else installed (run by `wheels`)."""
    install_built(session, built_requirements(session, "pyimgano-core"))
    check = Path("tools/check_core_alone.py").resolve()
    with tempfile.TemporaryDirectory() as elsewhere:
        session.chdir(elsewhere)
        session.run("python", "-I", str(check), env=ENV)
        session.chdir(ROOT)


@nox.session
def wheels_all(session: nox.Session) -> None:
    """Install the built meta package with its extras and use it outside of the checkout (run by `wheels`)."""
    meta = PROJECTS[Path("packages/pyimgano")]["project"]
    install_built(session, built_requirements(session), f"pyimgano[all]=={meta['version']}")
    with tempfile.TemporaryDirectory() as elsewhere:
        env = {**ENV, "PYIMGANO_CACHE_DIR": str(Path(elsewhere, "cache"))}
        session.chdir(elsewhere)
        session.run("pyimgano", "--help", env=env)
        session.run("pyimgano", "models", "list", env=env)
        session.run("pyimgano", "doctor", env=env)
        session.run("pyimgano", "demo", env=env)
        # A plugin as its author begins it: made by the installed command, installed, tested, checked.
        session.run("pyimgano", "plugins", "new", "bolt-check", env=env)
        plugin = str(Path(elsewhere, "bolt-check"))
        session.install("--find-links", str(ROOT / DIST), f"{plugin}[test]")
        session.run("pytest", "-q", plugin, env=env)
        session.run("pyimgano", "plugins", "check", "bolt-check", env=env)
        session.chdir(ROOT)  # Windows does not remove the folder that a process stands in


@nox.session
def release(session: nox.Session) -> None:
    """As `wheels`, of what is committed, built twice to the same bytes; then a bill of materials and its licences."""
    if session.run("git", "status", "--porcelain", external=True, silent=True):
        session.error("a release is built from what is committed: commit or stash your changes")
    build_and_check(session)
    with tempfile.TemporaryDirectory() as elsewhere:
        clone, again = Path(elsewhere, "clone"), Path(elsewhere, "dist")
        session.run("git", "clone", "--quiet", str(ROOT), str(clone), external=True)
        mask = os.umask(0o077)  # another checkout, of other times and modes
        try:
            shutil.copytree(clone, clone.with_name("private"), copy_function=shutil.copyfile)
            build_all(session, clone.with_name("private"), again)
        finally:
            os.umask(mask)
        first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (DIST, again))
    differing = sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
    if differing:
        session.error(f"a second build gives other bytes: {', '.join(differing)}")
    session.log(f"built {len(first)} distributions twice: the same bytes")
    session.notify("materials")


@nox.session
def materials(session: nox.Session) -> None:
    """Write the bill of materials of what `wheels_all` installed, and refuse licences (run by `release`)."""
    session.install(SBOM_TOOL)
    installed = Path(session.virtualenv.location).with_name("wheels_all")
    bom = DIST / "sbom.cdx.json"
    options = ["--output-reproducible", "--gather-license-texts", "--pyproject=packages/pyimgano/pyproject.toml"]
    session.run("cyclonedx-py", "environment", *options, f"--output-file={bom}", str(installed))
    if str(ROOT) in bom.read_text(encoding="utf-8"):
        session.error(f"{bom} names folders of this machine")
    session.run("python", "tools/list_licences.py", str(bom), "--output", str(DIST / "LICENCES.md"))


@nox.session
def docs(session: nox.Session) -> None:
    """Run what the pages tell to type; then the site in `build/site`: the notebook run, warnings as errors."""
    session.install(*packages_with_extras(python_of(session), editable=True), *TEST_TOOLS, *TEST_DATA, *SITE)
    run_pytest(session, "-m", "pages", "tests/documents")
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
    session.install(*packages_with_extras(python_of(session), editable=True), *TEST_TOOLS, *TEST_DATA, ANOMALIB, ADEVAL)
    session.run("python", "-m", "benchmarks", *session.posargs, env=ENV)
