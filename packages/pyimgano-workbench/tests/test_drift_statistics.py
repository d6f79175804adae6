"""Drift on numbers: the exact tests beside SciPy's, the promised rate of false alarms by simulation. About 8 s."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy import stats

from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate.intervals import clopper_pearson
from pyimgano.workbench.monitor import DriftMonitor, DriftSettings, Reference, image_statistics
from pyimgano.workbench.monitor.two_samples import binomial_p_value, ks_two_sample, stability_index


@pytest.mark.parametrize("sizes", [(1, 1), (1, 40), (7, 7), (30, 50), (64, 48), (100, 200), (500, 333)])
@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_ks_is_scipys_exact_test(sizes: tuple[int, int], shift: float) -> None:
    rng = np.random.default_rng([*sizes, round(10 * shift)])
    first, second = rng.normal(size=sizes[0]), rng.normal(shift, size=sizes[1])
    expected = stats.ks_2samp(first, second, method="exact")
    distance, p_value = ks_two_sample(first, second)
    assert distance == pytest.approx(expected.statistic, abs=1e-12)
    assert p_value == pytest.approx(expected.pvalue, rel=1e-7, abs=1e-10)


def test_ks_does_not_depend_on_the_order_nor_on_the_scale() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=60), rng.normal(0.4, size=80)
    assert ks_two_sample(first, second) == ks_two_sample(first[::-1], np.sort(second))
    assert ks_two_sample(first, second) == ks_two_sample(np.exp(first), np.exp(second))


def test_ks_of_equal_values_rejects_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(600):
        values = rng.integers(0, 4, size=90)
        rejected += ks_two_sample(values[:40], values[40:])[1] <= 0.1
    assert 0 < rejected <= 60


def test_ks_of_samples_apart_and_of_equal_ones() -> None:
    assert ks_two_sample([1.0] * 20, [1.0] * 30) == (0.0, 1.0)
    distance, p_value = ks_two_sample([1.0] * 20, [2.0] * 30)
    assert distance == 1.0
    assert 0.0 <= p_value < 1e-9
    assert ks_two_sample(np.zeros(2000), np.ones(3000))[0] == 1.0  # no overflow at this size


def test_stability_index_by_its_definition() -> None:
    reference = np.arange(100.0)
    window = np.arange(50.0, 100.0)
    # Ten bins of ten reference values each; the window fills the upper five.
    p = np.full(10, 10.5 / 105)
    q = np.array([0.5] * 5 + [10.5] * 5) / 55
    assert stability_index(reference, window) == pytest.approx(float(((q - p) * np.log(q / p)).sum()), rel=1e-12)


def test_stability_index_sees_what_leaves_a_constant() -> None:
    same = stability_index([224.0] * 50, [224.0] * 100)
    assert same < 0.01
    assert stability_index([224.0] * 50, [223.0] * 100) > 1.0
    assert stability_index([224.0] * 50, [225.0] * 100) > 1.0


@pytest.mark.parametrize(("count", "n", "share"), [(0, 50, 0.05), (9, 100, 0.02), (50, 50, 0.9), (3, 100, 0.03)])
def test_binomial_test_rejects_where_the_exact_interval_excludes(count: int, n: int, share: float) -> None:
    p_value = binomial_p_value(count, n, share)
    tails = stats.binom.cdf(count, n, share), stats.binom.sf(count - 1, n, share)
    assert p_value == pytest.approx(min(1.0, 2 * min(tails)), rel=1e-9)
    for confidence in (0.8, 0.95, 0.999):
        low, high = clopper_pearson(count, n, confidence=confidence)
        assert (p_value > 1 - confidence) == (low < share < high)


def _good(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Good images of a line: the statistics hang together, one is a whole number, one constant."""
    light = rng.normal(size=n)
    return {
        "score": rng.gamma(5.0, size=n) + 0.3 * light,
        "brightness": 120 + 9 * light,
        "contrast": 30 + 3 * light + rng.normal(size=n),
        "saturation": np.round(5 + rng.normal(size=n)),
        "width": np.full(n, 224.0),
    }


def _fill(monitor: DriftMonitor, values: dict[str, np.ndarray], decision: str = "good"):
    report = None
    names = [name for name in values if name != "score"]
    for index, score in enumerate(values["score"]):
        statistics = {name: values[name][index] for name in names}
        report = monitor.add(f"{index}.png", score, decision, statistics)
    return report


def test_a_window_alarms_falsely_no_more_often_than_alpha() -> None:
    rng = np.random.default_rng(2)
    alarms, windows, alpha = 0, 0, 0.2
    for _ in range(150):
        values = _good(rng, 60)
        reference = Reference({name: tuple(np.sort(part)) for name, part in values.items()}, 0.05)
        monitor = DriftMonitor(reference, DriftSettings(window=40, alpha=alpha, least_psi=0.0))
        for _ in range(3):
            alarms += _fill(monitor, _good(rng, 40)).drift
            windows += 1
        assert monitor.state()["expected_false_alarms"] == pytest.approx(3 * alpha)
    # The mean of 150 independent calibrations; a bound that is never reached would be no test of anything.
    assert 0.03 * windows < alarms <= alpha * windows


def test_an_alarm_over_a_whole_record_is_no_more_frequent_than_alpha() -> None:
    from pyimgano.workbench.monitor.past_records import compare_records
    from pyimgano.workbench.records import PredictionRecord

    rng = np.random.default_rng(3)
    found = 0
    for _ in range(200):
        reference = {"default": Reference({"score": tuple(np.sort(rng.normal(size=50)))}, 0.05)}
        records = [PredictionRecord("a.png", score=float(score), decision="good") for score in rng.normal(size=170)]
        result = compare_records(records, reference, DriftSettings(window=40, alpha=0.2, least_psi=0.0))
        assert [window.n for window in result.categories["default"]] == [42, 43, 42, 43]
        assert result.tests == 4
        found += result.drift
    assert 4 < found <= 40


@pytest.mark.parametrize("name", ["score", "brightness", "contrast", "width"])
def test_what_drifts_is_named_and_nothing_else(name: str) -> None:
    rng = np.random.default_rng(4)
    reference = Reference({key: tuple(np.sort(part)) for key, part in _good(rng, 150).items()}, 0.05)
    monitor = DriftMonitor(reference, DriftSettings(window=100))
    calm = _fill(monitor, _good(rng, 100))
    assert not calm.drift
    assert calm.reasons() == []
    values = _good(rng, 100)
    values[name] = values[name] + 2 * max(1.0, float(np.std(values[name])))
    report = _fill(monitor, values)
    assert report.drift
    assert [one.name for one in report.statistics if one.drift] == [name]
    assert report.reasons()[0].startswith(f"{name}: median ")
    assert (report.number, report.first, report.last) == (2, "0.png", "99.png")
    assert monitor.state()["alarms"] == 1


def test_a_certain_difference_that_is_small_is_no_drift() -> None:
    rng = np.random.default_rng(5)
    reference = Reference({"score": tuple(np.sort(rng.normal(size=2000)))}, 0.05)
    shifted = rng.normal(0.2, size=2000)
    strict = DriftMonitor(reference, DriftSettings(window=2000, least_psi=0.0))
    tolerant = DriftMonitor(reference, DriftSettings(window=2000))
    assert _fill(strict, {"score": shifted}).drift
    report = _fill(tolerant, {"score": shifted})
    assert report.statistics[0].p_value < 1e-6
    assert not report.drift


def test_rejects_are_told_and_judged_only_beside_an_expectation() -> None:
    rng = np.random.default_rng(6)
    reference = Reference({"score": tuple(np.sort(rng.normal(size=200)))}, 0.05)
    for expected, drifts in ((None, False), (0.9, False), (0.02, True)):
        monitor = DriftMonitor(reference, DriftSettings(window=50, expected_rejects=expected))
        scores = rng.normal(size=50)
        for index, score in enumerate(scores):
            report = monitor.add("x.png", score, "defective" if index % 10 else "good")
        assert report is not None
        assert report.rejected == 45
        assert report.interval == clopper_pearson(45, 50)
        assert report.rejects_drift is drifts
        assert report.alpha_each == pytest.approx(0.01 / (1 if expected is None else 2))


def test_a_statistic_that_an_image_lacks_is_left_out_of_its_window() -> None:
    rng = np.random.default_rng(7)
    reference = Reference({key: tuple(np.sort(part)) for key, part in _good(rng, 50).items()}, 0.05)
    monitor = DriftMonitor(reference, DriftSettings(window=20))
    for _ in range(19):
        monitor.add("a.png", float(rng.gamma(5.0)), "good", {"brightness": 120.0, "contrast": 30.0})
    report = monitor.add("b.png", 5.0, "good", {"brightness": 120.0})
    assert [one.name for one in report.statistics] == ["score", "brightness"]
    assert report.alpha_each == 0.005


def test_threads_lose_no_image() -> None:
    reference = Reference({"score": tuple(np.linspace(0, 1, 50))}, 0.05)
    monitor = DriftMonitor(reference, DriftSettings(window=50))

    def add() -> None:
        for score in np.linspace(0, 1, 500):
            monitor.add("a.png", float(score), "good")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = monitor.state()
    assert (state["windows"], state["gathered"]) == (40, 0)


@pytest.mark.parametrize(
    "settings", [{"window": 19}, {"alpha": 0.0}, {"alpha": 1.0}, {"least_psi": -1.0}, {"expected_rejects": 1.0}]
)
def test_settings_out_of_range_are_refused(settings: dict) -> None:
    with pytest.raises(ParameterError):
        DriftSettings(**settings)


def test_image_statistics_follow_what_was_done_to_the_image() -> None:
    import cv2
    from skimage import data

    image = data.astronaut()
    plain = image_statistics(image)
    assert (plain["width"], plain["height"]) == (512, 512)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert plain["brightness"] == pytest.approx(float(grey.mean()), rel=1e-9)
    assert plain["contrast"] == pytest.approx(float(grey.std()), rel=1e-9)
    darker = image_statistics(image // 2)
    assert darker["brightness"] == pytest.approx(plain["brightness"] / 2, rel=0.01)
    blurred = image_statistics(cv2.GaussianBlur(image, (0, 0), 2))
    assert blurred["sharpness"] < 0.5 * plain["sharpness"]
    assert blurred["brightness"] == pytest.approx(plain["brightness"], rel=0.01)
    without_colour = image_statistics(np.repeat(grey[..., None], 3, axis=2))
    assert without_colour["saturation"] == 0.0
    # A large image is looked at in part, and says about the same; its sharpness is that of its own pixels.
    large = image_statistics(np.tile(image, (5, 5, 1)))
    for name in ("brightness", "contrast", "saturation"):
        assert large[name] == pytest.approx(plain[name], rel=0.02)
    assert large["sharpness"] == pytest.approx(plain["sharpness"], rel=0.1)
