"""``pyimgano doctor``: what is installed, what works, and what to type where it does not."""

from __future__ import annotations

import typer

__all__ = ["doctor"]


def doctor(as_json: bool = typer.Option(False, "--json", help="Give a JSON object.")) -> None:
    """Check the installation and the machine, and say how to mend what is wrong.

    Ends with status 1 when there is a problem, else with 0; warnings do not count.

    Example: pyimgano doctor
    """
    from functools import partial

    from pyimgano.cli.checks import PROBLEM, accelerator, libraries, machine, packages, run_checks
    from pyimgano.cli.output import print_json, print_text

    probes = libraries.start_probes()
    findings = run_checks(
        [
            ("python", machine.check_python),
            ("packages", packages.check_packages),
            ("numpy", partial(libraries.check_numpy, probes["numpy"])),
            ("opencv", partial(libraries.check_opencv, probes["opencv"])),
            ("torch", partial(libraries.check_torch, probes["torch"])),
            ("accelerator", partial(accelerator.check_accelerator, probes["torch"])),
            ("onnxruntime", partial(libraries.check_onnxruntime, probes["onnxruntime"])),
            ("weights", packages.check_weights),
            ("models", packages.check_requirements),
            ("plugins", packages.check_plugins),
            ("cache", machine.check_cache),
            ("threads", machine.check_threads),
            ("memory", machine.check_memory),
            ("disk", machine.check_disk),
        ]
    )
    problem = False
    collected = []
    for finding in findings:
        problem = problem or finding.status == PROBLEM
        collected.append(finding.to_json())
        if not as_json:
            print_text(f"{finding.status:<8} {finding.topic:<12} {finding.message}")
            for line in (finding.fix or "").splitlines():
                print_text(f"{'':<21} {line}")
    if as_json:
        print_json({"ok": not problem, "findings": collected})
    raise typer.Exit(1 if problem else 0)
