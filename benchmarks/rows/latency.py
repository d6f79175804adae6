"""One image at a time: array in, score and map out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import alternate, median, run_child
from benchmarks.results import Options, Outcome, Row

PEER_GOAL = 4.0
BARE_GOAL = 1.25


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        Two rows: beside the peer, beside the bare parts.
    """
    repeats = 30 if options.quick else 200
    # The bank has the size of a 1 % coreset of 200 images; so that the peer is ready in seconds, it is drawn from a
    # tenth of the images at ten times the ratio: the time of a score depends on the bank's shape alone.
    n_train = max(1, options.n_train // 10)
    threads = options.threads
    common = {"seed": options.seed, "threads": threads, "n_train": n_train}

    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-onnx-") as folder:
        file = str(Path(folder, "backbone.onnx"))
        run_child("benchmarks.bare", "export_backbone", {"output": file, "threads": threads}, threads=threads)
        answers = alternate(
            {
                "ours": lambda: run_child(
                    "benchmarks.ours",
                    "latency",
                    {**common, "model": "patchcore", "ratio": 0.1, "repeats": repeats},
                    threads=threads,
                ),
                "bare": lambda: run_child(
                    "benchmarks.bare",
                    "backbone_and_gemm",
                    {"file": file, "bank": n_train * 784 // 10, "threads": threads, "repeats": repeats},
                    threads=threads,
                ),
                "peer": lambda: run_child(
                    "benchmarks.peer_anomalib",
                    "fit_predict",
                    {
                        **common,
                        "model": "patchcore",
                        "ratio": 0.1,
                        "predict": False,
                        "workers": 0,
                        "latency_repeats": repeats,
                    },
                    threads=threads,
                ),
            },
            1 if options.quick else max(3, options.rounds),
        )
    ours = median([median(a["latency_ms"]) for a in answers["ours"]])
    peer = median([median(a["latency_ms"]) for a in answers["peer"]])
    peer_backbone = median([median(a["backbone_ms"]) for a in answers["peer"]])
    both = median([median(a["both_ms"]) for a in answers["bare"]])
    backbone = median([median(a["backbone_ms"]) for a in answers["bare"]])
    product = median([median(a["product_ms"]) for a in answers["bare"]])
    # Threads of the two libraries may disturb each other; what the parts take by themselves is the stricter measure.
    floor = min(both, backbone + product)
    applies = not options.quick
    bank = answers["peer"][0]["bank"]
    beside_peer = Row(
        name="PatchCore 1 %: one image",
        ours=f"{ours:.1f} ms",
        other=f"{peer:.1f} ms",
        ratio=f"{peer / ours:.1f}× faster",
        goal=f"≥ {PEER_GOAL:.0f}×",
        passed=peer / ours >= PEER_GOAL if applies else None,
        method="both: a 300 × 300 uint8 RGB array in, resized, score and map out as numpy arrays, a bank of"
        f" {bank[0]:,} × {bank[1]}, median of {repeats} calls. anomalib: its torch model with its own"
        " pre-processing, `inference_mode`, map of"
        f" {answers['peer'][0]['map_shape'][0]} px; its backbone alone takes {peer_backbone:.1f} ms."
        f" pyimgano: `infer([array])` with the runtime"
        f" {answers['ours'][0]['runtime']}, map of {answers['ours'][0]['map_shape'][0]} px.",
    )
    beside_bare = Row(
        name="PatchCore 1 %: one image, beside the bare parts",
        ours=f"{ours:.1f} ms",
        other=f"{floor:.1f} ms",
        ratio=f"{ours / floor:.2f}×",
        goal=f"≤ {BARE_GOAL}×",
        passed=ours / floor <= BARE_GOAL if applies else None,
        method="beside it: one run of the same backbone in bare onnxruntime on a ready tensor"
        f" (alone {backbone:.1f} ms) and one numpy product of random patches with a random bank of the same shape"
        f" (alone {product:.1f} ms; one after the other {both:.1f} ms): no resizing, no search, no map. Taken is the"
        " smaller of the sum and the two in turn.",
    )
    return Outcome([beside_peer, beside_bare], dict(answers))
