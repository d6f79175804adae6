"""The doctor: each broken thing is one finding with what to type, and hurts no other check."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from pyimgano.cli.checks import OK, PROBLEM, WARNING, accelerator, libraries, machine, packages, run_checks
from pyimgano.cli.checks.finding import setting
from pyimgano.cli.checks.libraries import Probe


def test_doctor_reports_on_everything_and_ends_with_its_verdict(process, tmp_path):
    done = process("doctor", "--json", PYIMGANO_CACHE_DIR=str(tmp_path / "cache"), PYIMGANO_PLUGINS="none")
    report = json.loads(done.out)
    assert report["ok"] == (done.code == 0)
    topics = [finding["topic"] for finding in report["findings"]]
    for topic in ("python", "packages", "numpy", "opencv", "torch", "accelerator", "onnxruntime", "weights", "models",
                  "components", "plugins", "cache", "threads", "memory", "disk"):  # fmt: skip
        assert topic in topics
    assert {finding["status"] for finding in report["findings"]} <= {OK, WARNING, PROBLEM}
    assert report["ok"], [finding for finding in report["findings"] if finding["status"] == PROBLEM]


def test_problem_gives_status_one_and_the_fix_on_its_own_line(process, plug_in, tmp_path):
    absent = {name: f"raise ModuleNotFoundError(\"No module named '{name}'\")" for name in ("torch", "onnxruntime")}
    plug_in("fake", modules=absent)  # they take seconds to import, and are not what this is about
    (tmp_path / "file").write_text("")
    done = process("doctor", PYIMGANO_CACHE_DIR=str(tmp_path / "file" / "cache"), PYIMGANO_PLUGINS="none")
    assert done.code == 1
    lines = done.out.splitlines()
    (index,) = (i for i, line in enumerate(lines) if line.startswith("problem") and " cache " in line)
    assert "is not a folder" in lines[index]
    assert lines[index + 1].strip() == setting("PYIMGANO_CACHE_DIR", str(Path.home() / "pyimgano-cache"))


def findings(check, library):
    return list(check(Probe(library)))


def test_missing_system_library_gets_its_hint(plug_in):
    said = "libGL.so.1: cannot open shared object file: No such file or directory"
    plug_in("fake", modules={"cv2": f"raise ImportError({said!r})"})
    finding = findings(libraries.check_opencv, "opencv")[0]
    assert finding.status == PROBLEM
    assert "libGL.so.1" in finding.message
    assert "pip install opencv-python-headless" in finding.fix
    assert "apt-get install -y libgl1" in finding.fix


def test_library_that_crashes_the_interpreter_is_a_finding(plug_in):
    plug_in("fake", modules={"onnxruntime": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"})
    if sys.platform == "win32":
        pytest.skip("Windows has no SIGSEGV for a process to send itself")
    (finding,) = findings(libraries.check_onnxruntime, "onnxruntime")
    assert finding.status == PROBLEM
    assert finding.message == "importing it crashed the interpreter (SIGSEGV)"
    assert finding.fix == "pip install --force-reinstall onnxruntime"


def test_broken_torch_is_told_from_an_absent_one(plug_in):
    plug_in("fake", modules={"torch": "import absent_part_of_torch"})
    (finding,) = findings(libraries.check_torch, "torch")
    assert finding.status == PROBLEM
    assert "absent_part_of_torch" in finding.message
    plug_in("fake", modules={"torch": "raise ModuleNotFoundError(\"No module named 'torch'\")"}, version="2.0")
    (finding,) = findings(libraries.check_torch, "torch")
    assert finding.status == WARNING
    assert finding.fix == 'pip install "pyimgano-models[lite]"'


def test_absent_onnxruntime_is_no_problem(plug_in):
    plug_in("fake", modules={"onnxruntime": "raise ModuleNotFoundError(\"No module named 'onnxruntime'\")"})
    (finding,) = findings(libraries.check_onnxruntime, "onnxruntime")
    assert finding.status == OK
    assert 'pip install "pyimgano-models[onnx]"' in finding.fix


def test_library_that_prints_on_import_is_read_all_the_same(plug_in):
    plug_in("fake", modules={"onnxruntime": "print('welcome')\n__version__ = '9'\n"
            "def get_available_providers(): return ['Nothing']"})  # fmt: skip
    (finding,) = findings(libraries.check_onnxruntime, "onnxruntime")
    assert (finding.status, finding.message) == (OK, "9, Nothing")


def test_module_in_the_current_folder_is_not_what_is_probed(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise RuntimeError('not numpy')")
    monkeypatch.chdir(tmp_path)
    (finding,) = findings(libraries.check_numpy, "numpy")
    assert finding.status == OK


def test_opencv_distributions_of_different_versions_are_a_problem(plug_in):
    plug_in("opencv-python", version="4.9.1")
    plug_in("opencv-python-headless", version="4.8.2")
    finding = findings(libraries.check_opencv, "opencv")[-1]
    assert finding.status == PROBLEM
    assert "opencv-python 4.9.1, opencv-python-headless 4.8.2" in finding.message
    assert finding.fix.endswith("pip install opencv-python==4.9.1")
    assert finding.fix.startswith("pip uninstall -y opencv-python opencv-python-headless")


def test_opencv_distributions_of_one_version_are_well(plug_in):
    plug_in("opencv-python", version="4.9.1")
    plug_in("opencv-python-headless", version="4.9.1")
    assert [finding.status for finding in findings(libraries.check_opencv, "opencv")] == [OK]


def test_packages_of_different_versions_are_a_problem(plug_in):
    assert {finding.status for finding in packages.check_packages()} == {OK}
    plug_in("pyimgano-models", version="0.0.1")
    (finding,) = (one for one in packages.check_packages() if one.status == PROBLEM)
    assert "pyimgano-models 0.0.1" in finding.message
    assert "pyimgano-models==" in finding.fix


def test_models_that_lack_something_are_named_with_the_command(plug_in, monkeypatch):
    monkeypatch.setenv("PYIMGANO_PLUGINS", "stranger")
    specs = (
        "from pyimgano.core.specs import ModelSpec, Requirement\n"
        "MODELS = [ModelSpec('needy', 'Needs', 'x:X', requires=(Requirement('absent_backend', 'some', 'extra'),))]"
    )
    plug_in("stranger", {"pyimgano.models": {"x": "stranger_specs:MODELS"}}, {"stranger_specs": specs})
    found = [f for f in packages.check_requirements() if f.status == WARNING and "needy" in f.message]
    assert [finding.fix for finding in found] == ['pip install "some[extra]"']


def test_broken_plugin_is_a_warning_with_its_reason(plug_in, monkeypatch):
    monkeypatch.setenv("PYIMGANO_PLUGINS", "broken")
    plug_in("broken", {"pyimgano.models": {"x": "broken_specs:MODELS"}}, {"broken_specs": "1 / 0"})
    (finding,) = (f for f in packages.check_plugins() if "ZeroDivisionError" in f.message)
    assert finding.status == WARNING
    assert finding.fix.startswith("pip install --upgrade broken\n")
    assert "authors of broken" in finding.fix


def test_more_threads_than_processors_is_a_warning(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "9999")
    (finding,) = machine.check_threads()
    assert finding.status == WARNING
    assert finding.fix.startswith(setting("OMP_NUM_THREADS", "")[:-1])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (finding,) = machine.check_threads()
    assert finding.status == OK


@pytest.mark.parametrize(
    ("content", "quota"), [("150000 100000", 1.5), ("max 100000", None), ("", None), ("1 0", None), (None, None)]
)
def test_limit_of_a_container_is_read(tmp_path, content, quota):
    if content is not None:
        (tmp_path / "cpu.max").write_text(content)
    assert machine._cgroup_quota(tmp_path / "cpu.max") == quota


@pytest.mark.skipif(sys.platform not in ("linux", "win32"), reason="this system does not say what is free")
def test_free_memory_is_a_part_of_what_the_machine_has():
    available = machine.available_memory()
    assert 0 < available
    if sys.platform == "linux":
        assert available < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_low_memory_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 1 << 28)
    (finding,) = machine.check_memory()
    assert finding.status == WARNING
    assert finding.message.startswith("0.2 GiB free")
    assert finding.fix.startswith("pyimgano train --config run.toml --dry-run")


@pytest.mark.parametrize(
    ("limit", "taken", "from_files", "left"),
    [("1000", "700", 200, 500), ("1000", "1400", 100, 0), ("max", "700", 200, None), ("", "700", 200, None)],
)
def test_memory_of_a_container_is_what_its_limit_leaves(tmp_path, limit, taken, from_files, left):
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text(taken + "\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {from_files}\n")
    assert machine._cgroup_memory(tmp_path) == left
    assert machine._cgroup_memory(tmp_path / "none") is None


def test_free_memory_of_macos_is_read_from_its_pages():
    text = """Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               10.
Pages active:                           1000.
Pages inactive:                           20.
Pages speculative:                         3.
"Translation faults":                 999999.
"""
    assert machine.parse_vm_stat(text) == 33 * 16384
    assert machine.parse_vm_stat("something else") is None


def test_little_space_is_a_warning_with_what_frees_some(monkeypatch):
    monkeypatch.setattr(machine, "LOW_DISK", 1 << 62)
    found = list(machine.check_disk())
    assert {finding.status for finding in found} == {WARNING}
    assert any(finding.fix.startswith("pyimgano cache clear") for finding in found)
    assert all(finding.fix for finding in found)
    monkeypatch.setattr(machine, "LOW_DISK", 0)
    found = list(machine.check_disk())
    assert {finding.status for finding in found} == {OK}
    told = " ".join(finding.message for finding in found)
    assert all(use in told for use in ("runs", "cache", "temporary files"))


def test_cache_tells_its_place_and_size(tmp_path, monkeypatch):
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path / "cache"))
    (finding,) = machine.check_cache()
    assert "not made yet" in finding.message
    (tmp_path / "cache" / "onnx").mkdir(parents=True)
    (tmp_path / "cache" / "onnx" / "x").write_bytes(b"x" * (3 << 20))
    (finding,) = machine.check_cache()
    assert finding.status == OK
    assert finding.message.endswith("3.0 MiB")
    assert os.listdir(tmp_path / "cache") == ["onnx"]


def test_what_killed_processes_left_in_the_cache_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("PYIMGANO_CACHE_DIR", str(tmp_path))
    left = tmp_path / "weights" / "timm" / ".fetch-1" / "weights.pth"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x" * (2 << 20))
    assert [finding.status for finding in machine.check_cache()] == [OK]  # it may still be written
    for path in (left, left.parent):
        os.utime(path, (1e9, 1e9))
    found = list(machine.check_cache())
    assert (found[-1].status, found[-1].fix) == (WARNING, "pyimgano cache clear --leftovers")
    assert found[-1].message == "1 leftover of killed processes, 2.0 MiB"


TORCH = """
class _Cuda:
    def is_available(self): return {works}
    def get_device_name(self): return "Acme 9000"
    def mem_get_info(self): return {free}, 8 << 30
class _Namespace: pass
__version__ = "9.0"
cuda = _Cuda()
version, backends = _Namespace(), _Namespace()
version.cuda = {cuda!r}
backends.mps = _Cuda()
backends.mps.is_available = lambda: False
def get_num_threads(): return 1
def zeros(*arguments, **options): return None
"""


@pytest.mark.parametrize(
    ("facts", "gpu", "status", "message", "fix"),
    [
        ({}, False, OK, "none found; models run on the processor", None),
        ({"works": True}, True, OK, "cuda, Acme 9000, 4.0 of 8.0 GiB free", None),
        ({"works": True, "free": 1 << 30}, True, WARNING, "1.0 of 8.0 GiB free: other programs", "nvidia-smi"),
        ({"cuda": None}, True, WARNING, "Acme 9000 is not used: torch is a build without CUDA",
         "pip install --force-reinstall torch"),
        ({}, True, WARNING, "torch is built for CUDA 99.0, and driver 550.1 does not run it", "nvidia-smi"),
    ],
)  # fmt: skip
def test_gpu_that_is_not_used_is_a_warning_with_the_reason(
    plug_in, tmp_path, monkeypatch, facts, gpu, status, message, fix
):
    known = {"works": False, "free": 4 << 30, "cuda": "99.0", **facts}
    plug_in("fake", modules={"torch": TORCH.format(**known)}, version="9.0")
    monkeypatch.setattr(accelerator, "nvidia_gpus", lambda: [("Acme 9000", "550.1")] if gpu else [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (finding,) = accelerator.check_accelerator(Probe("torch"))
    assert finding.status == status
    assert message in finding.message
    assert (finding.fix or "").startswith(fix or "")
    assert (finding.fix is None) == (fix is None)


def test_hidden_gpu_is_told_from_one_that_does_not_work(plug_in, monkeypatch):
    plug_in("fake", modules={"torch": TORCH.format(works=False, free=0, cuda="99.0")}, version="9.0")
    monkeypatch.setattr(accelerator, "nvidia_gpus", lambda: [("Acme 9000", "550.1")])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (finding,) = accelerator.check_accelerator(Probe("torch"))
    assert (finding.status, finding.fix) == (WARNING, "unset CUDA_VISIBLE_DEVICES")


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'Acme 9000, 550.1'; echo 'Acme, old, 550.1'", [("Acme 9000", "550.1"), ("Acme, old", "550.1")]),
        ("echo 'has failed because it could not communicate with the driver'; exit 9", []),
    ],
)  # fmt: skip
def test_gpus_are_those_that_the_driver_tells_of(tmp_path, monkeypatch, script, found):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(tmp_path), os.environ["PATH"])))
    assert accelerator.nvidia_gpus() == found


def test_check_that_fails_is_a_finding_and_the_next_one_runs():
    def fails():
        raise RuntimeError("no such device")
        yield

    found = list(run_checks([("gpu", fails), ("python", machine.check_python)]))
    assert (found[0].topic, found[0].status) == ("gpu", PROBLEM)
    assert "RuntimeError: no such device" in found[0].message
    assert found[1].topic == "python"
