"""PaDiM with 100 features on a map of 56 × 56: time of the fit."""

from __future__ import annotations

from benchmarks.measure import median
from benchmarks.results import Options, Outcome, Row
from benchmarks.rows.fit import better_peer, both_sides, memory, seconds

GOAL = 5.0


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        One row with a goal and one that informs.
    """
    answers = both_sides("padim", options)
    cold = answers["ours, empty cache"]
    ours, (peer, workers) = seconds(answers["ours"]), better_peer(answers, seconds)
    peer_gaussian = median([a["gaussian_seconds"] for a in answers[f"peer {workers}"]])
    ours_mb, (peer_mb, memory_workers) = memory(answers["ours"]), better_peer(answers, memory)
    speed = Row(
        name="PaDiM: fit",
        ours=f"{ours:.2f} s",
        other=f"{peer:.1f} s",
        ratio=f"{peer / ours:.1f}× faster",
        goal=f"≥ {GOAL:.0f}×",
        passed=peer / ours >= GOAL if not options.quick else None,
        method="both: construction with weights and the fit, imports excluded, layers blocks.1, blocks.2, blocks.4, 100"
        f" random features, 56 × 56 positions. anomalib: `Engine.fit` without validation, {workers} loading processes"
        f" (the faster of 8 and 0), of which its Gaussians took {peer_gaussian:.1f} s. pyimgano:"
        f" `create_model(...).fit(paths)` with the runtime {answers['ours'][0]['runtime']}, imports"
        f" inside the fit included, the backbone's export in the cache; with an empty cache it takes"
        f" {seconds(cold):.2f} s.",
    )
    peak = Row(
        name="PaDiM: peak memory of the fit",
        ours=f"{ours_mb:.0f} MB",
        other=f"{peer_mb:.0f} MB",
        ratio=f"{ours_mb / peer_mb:.2f}×",
        goal="",
        passed=None,
        method=f"as for PatchCore; anomalib with {memory_workers} loading processes. pyimgano with an empty cache:"
        f" {memory(cold):.0f} MB.",
    )
    return Outcome([speed, peak], dict(answers))
