"""Words for good and defective parts: WinCLIP's compositional prompt ensemble."""

from __future__ import annotations

__all__ = ["DEFECTIVE_STATES", "GOOD_STATES", "TEMPLATES", "prompt_ensemble"]

GOOD_STATES = (
    "{}",
    "flawless {}",
    "perfect {}",
    "unblemished {}",
    "{} without flaw",
    "{} without defect",
    "{} without damage",
)
DEFECTIVE_STATES = ("damaged {}", "{} with flaw", "{} with defect", "{} with damage")
TEMPLATES = (
    "a cropped photo of the {}.",
    "a close-up photo of a {}.",
    "a close-up photo of the {}.",
    "a bright photo of a {}.",
    "a bright photo of the {}.",
    "a dark photo of the {}.",
    "a dark photo of a {}.",
    # Twice, and so it counts twice in the mean.
    "a jpeg corrupted photo of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a blurry photo of the {}.",
    "a blurry photo of a {}.",
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of a small {}.",
    "a photo of the small {}.",
    "a photo of a large {}.",
    "a photo of the large {}.",
    "a photo of the {} for visual inspection.",
    "a photo of a {} for visual inspection.",
    "a photo of the {} for anomaly detection.",
    "a photo of a {} for anomaly detection.",
)


def prompt_ensemble(class_name: str) -> tuple[list[str], list[str]]:
    """Return every state in every template, of a good and of a defective part.

    Parameters
    ----------
    class_name : str
        What the images show, in words: ``"solar cell"``.

    Returns
    -------
    good, defective : list of str
        147 and 84 sentences.
    """
    good, defective = (
        [template.format(state.format(class_name)) for state in states for template in TEMPLATES]
        for states in (GOOD_STATES, DEFECTIVE_STATES)
    )
    return good, defective
