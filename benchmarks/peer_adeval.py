"""The peer adeval: approximate pixel metrics from 1,000 bins, in constant memory."""

from __future__ import annotations

from typing import Any

from benchmarks.maps import load, resident_mb
from benchmarks.measure import peak_rss_mb, serve, stopwatch


def pixel_metrics(folder: str, *, threads: int) -> dict[str, Any]:
    """Time AUROC, AP and AUPRO as its users get them, with its default number of bins.

    Parameters
    ----------
    folder : str
        Of :func:`benchmarks.maps.make`.
    threads : int
        Number of threads; fixed by the process's environment and its cores.

    Returns
    -------
    dict
        Seconds, values, peak memory beyond the inputs.
    """
    import numpy as np

    if not hasattr(np, "trapz"):  # adeval calls it; NumPy has renamed it
        np.trapz = np.trapezoid  # type: ignore[attr-defined]
    import adeval

    maps, masks = load(folder)
    truth = masks.view(np.uint8)
    held = resident_mb()
    result: dict[str, Any] = {"threads": threads}
    with stopwatch(result, "seconds"):
        auroc, ap, aupro = adeval.auroc_aupr_aupro(maps, truth)
    result["values"] = {"pixel_auroc": float(auroc), "pixel_ap": float(ap), "pixel_aupro": float(aupro)}
    peak = peak_rss_mb()
    result["extra_mb"] = None if held is None or peak is None else peak - held
    return result


if __name__ == "__main__":
    serve({"pixel_metrics": pixel_metrics})
