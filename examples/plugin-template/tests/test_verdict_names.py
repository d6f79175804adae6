from __future__ import annotations

from pyimgano.core.testing import check_dataset_reader

from plugin_template.verdict_names import VerdictNames


def test_reader_keeps_the_contract(lots):
    check_dataset_reader(VerdictNames, root=lots)


def test_verdict_is_the_label_and_lot_is_the_group(lots):
    (lots / "L9-001.png").write_bytes(b"an image without a verdict; nothing is decoded here")
    samples = VerdictNames().read(lots)
    assert len(samples.select(label=0)) == 30
    assert {sample.group for sample in samples.select(label=1)} == {"L5"}
    assert samples.notes == ("1 images without a verdict are left out",)
