"""One image through an exported graph: pixels in, score and map out."""

from __future__ import annotations

from benchmarks.measure import median, run_child
from benchmarks.results import Options, Outcome, Row

GOAL = 1.25


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        A row for the bank of a 1 % coreset, and one for that of a 10 % coreset.
    """
    repeats = 10 if options.quick else 100
    n_train = max(1, options.n_train // 10)
    rows, answers = [], {}
    # The banks have the size of coresets of 200 images, and are made of a tenth of the images at ten times the ratio:
    # the time depends on the bank's shape alone.
    for percent in (1, 10):
        answer = run_child(
            "benchmarks.exported",
            "graph_and_parts",
            {
                "seed": options.seed,
                "n_train": n_train,
                "ratio": percent / 10,
                "threads": options.threads,
                "repeats": repeats,
            },
            threads=options.threads,
        )
        answers[f"{percent} %"] = [answer]
        parts = {name: median(answer[f"{name}_ms"]) for name in ("graph", "backbone", "product", "numpy")}
        floor = parts["backbone"] + min(parts["product"], parts["numpy"])
        ratio = parts["graph"] / floor
        rows.append(
            Row(
                name=f"PatchCore {percent} %: one image, exported graph",
                ours=f"{parts['graph']:.1f} ms",
                other=f"{floor:.1f} ms",
                ratio=f"{ratio:.2f}×",
                goal=f"≤ {GOAL}×",
                passed=None if options.quick else ratio <= GOAL,
                method=f"one onnxruntime session of the whole detector, a bank of {answer['bank'][0]:,} ×"
                f" {answer['bank'][1]} ({answer['bytes'] / 1e6:.0f} MB), a ready uint8 image in, score and map out;"
                f" median of {repeats} calls, in turn with: the backbone's graph alone ({parts['backbone']:.1f} ms),"
                f" one product of patches and bank by onnxruntime with the bank packed ({parts['product']:.1f} ms) and"
                f" by numpy ({parts['numpy']:.1f} ms). Beside it: the backbone and the faster product.",
            )
        )
    return Outcome(rows, answers)
