"""PatchCore with a 1 % coreset: time and memory of the fit."""

from __future__ import annotations

from benchmarks.measure import median
from benchmarks.results import Options, Outcome, Row
from benchmarks.rows.fit import better_peer, both_sides, memory, seconds

SPEED_GOAL = 20.0
MEMORY_GOAL = 0.5


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        Two rows: time, memory.
    """
    answers = both_sides("patchcore", options)
    cold = answers["ours, empty cache"]
    ours, (peer, workers) = seconds(answers["ours"]), better_peer(answers, seconds)
    peer_coreset = median([a["coreset_seconds"] for a in answers[f"peer {workers}"]])
    ours_mb, (peer_mb, memory_workers) = memory(answers["ours"]), better_peer(answers, memory)
    applies = not options.quick
    speed = Row(
        name="PatchCore 1 %: fit",
        ours=f"{ours:.2f} s",
        other=f"{peer:.1f} s",
        ratio=f"{peer / ours:.1f}× faster",
        goal=f"≥ {SPEED_GOAL:.0f}×",
        passed=peer / ours >= SPEED_GOAL if applies else None,
        method="both: construction with weights and the fit, imports excluded, 32-bit floats, layers blocks.2 and"
        f" blocks.4, 9 neighbours. anomalib: `Engine.fit` without validation, {workers} loading processes (the faster"
        f" of 8, its default, and 0), its coreset took {peer_coreset:.1f} s. pyimgano: `create_model(...).fit(paths)`"
        f" with the runtime {answers['ours'][0]['runtime']}, imports inside the fit"
        f" included, the backbone's export in the cache; with an empty cache it takes {seconds(cold):.2f} s.",
    )
    peak = Row(
        name="PatchCore 1 %: peak memory of the fit",
        ours=f"{ours_mb:.0f} MB",
        other=f"{peer_mb:.0f} MB",
        ratio=f"{ours_mb / peer_mb:.2f}×",
        goal=f"≤ {MEMORY_GOAL}×",
        passed=ours_mb / peer_mb <= MEMORY_GOAL if applies else None,
        method="the same processes' peak resident memory after the fit, imports included. anomalib: with"
        f" {memory_workers} loading processes (the smaller of 8 and 0; the loading processes' own memory is not"
        f" counted). pyimgano with an empty cache, when the backbone is exported: {memory(cold):.0f} MB.",
    )
    return Outcome([speed, peak], dict(answers))
