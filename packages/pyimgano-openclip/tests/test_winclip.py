"""WinCLIP's mathematics against a slow transcription of the paper's equations, one window at a time. Takes 15 s."""

from __future__ import annotations

import math

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from pyimgano.core.creation import create_model
from pyimgano.core.errors import ParameterError
from pyimgano.openclip.prompts import DEFECTIVE_STATES, GOOD_STATES, TEMPLATES, prompt_ensemble
from pyimgano.openclip.winclip import WinClip
from pyimgano.openclip.window_scores import association, harmonic_map, harmonic_mean, windows

TINY = "openclip/tiny-clip"
TAU = 0.07


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def normalised(detector, image):
    clip = detector.clip
    pixels = clip.prepare(image).astype(np.float64)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    x = (pixels / 255.0 - np.asarray(mean)) / np.asarray(std)
    return torch.from_numpy(x.astype(np.float32)).permute(2, 0, 1)[None]


def seen_through(visual, x, patches):
    """Return the embedding of an image of which only some patches are shown to the transformer."""
    tokens = visual.conv1(x)[0].flatten(1).T
    tokens = torch.cat([visual.class_embedding[None], tokens]) + visual.positional_embedding
    tokens = torch.stack([tokens[0], *(tokens[1 + p] for p in patches)])[None]
    out = visual.ln_post(visual.transformer(visual.ln_pre(tokens)))
    return (out[0, 0] @ visual.proj).double(), out[0, 1:].double()


def covering(grid, side):
    """Return side × side windows of a grid, each a list of patches, as (row, column) pairs."""
    return [
        [(top + i, left + j) for i in range(side) for j in range(side)]
        for top in range(grid[0] - side + 1)
        for left in range(grid[1] - side + 1)
    ]


def harmonic(values):
    return 0.0 if any(value == 0.0 for value in values) else len(values) / sum(1.0 / value for value in values)


def slow_texts(detector, class_name):
    """Return the mean embeddings of the good and the defective group of sentences."""
    model = detector.clip.model
    tokenizer = open_clip.get_tokenizer("tiny-clip")
    texts = []
    with torch.inference_mode():
        for states in (GOOD_STATES, DEFECTIVE_STATES):
            sentences = [template.format(state.format(class_name)) for state in states for template in TEMPLATES]
            texts.append(model.encode_text(tokenizer(sentences)).double().mean(dim=0))
    return texts


def slow_winclip(detector, image, references, texts):
    """Return the score and the map on the grid of patches, equation by equation."""
    model = detector.clip.model
    visual = model.visual
    rows, columns = grid = tuple(visual.grid_size)
    with torch.inference_mode():

        def probability(embedding):
            good, defective = (math.exp(cosine(embedding, text) / TAU) for text in texts)
            return defective / (good + defective)

        def views(picture):
            x = normalised(detector, picture)
            whole, patches = seen_through(visual, x, range(rows * columns))
            through = {
                side: [
                    seen_through(visual, x, [r * columns + c for r, c in window])[0] for window in covering(grid, side)
                ]
                for side in detector.scales
            }
            return whole, patches, through

        def at(scores, side, row, column):
            return harmonic([s for s, window in zip(scores, covering(grid, side)) if (row, column) in window])

        whole, patches, through = views(image)
        zero = {side: [probability(e) for e in embeddings] for side, embeddings in through.items()}
        known = [views(reference) for reference in references]

        def nearest(embedding, candidates):
            return min(max(0.0, 0.5 * (1.0 - cosine(embedding, candidate))) for candidate in candidates)  # rounding

        few_patches = [nearest(e, [r for _, rows_, _ in known for r in rows_]) for e in patches] if known else []
        few = {
            side: [nearest(e, [r for *_, windows_ in known for r in windows_[side]]) for e in embeddings]
            for side, embeddings in (through.items() if known else ())
        }
    grid_map = np.zeros(grid)
    memory = np.zeros(grid)
    for row in range(rows):
        for column in range(columns):
            by_words = [probability(whole), *(at(scores, side, row, column) for side, scores in zero.items())]
            grid_map[row, column] = harmonic(by_words)
            if known:
                by_references = [few_patches[row * columns + column]]
                by_references += [at(scores, side, row, column) for side, scores in few.items()]
                memory[row, column] = sum(by_references) / len(by_references)
    if not known:
        return probability(whole), grid_map
    return (probability(whole) + memory.max()) / 2, (grid_map + memory) / 2


@pytest.mark.parametrize("shots", [0, 1, 3])
@pytest.mark.parametrize("model", ["tiny-clip", "tiny-clip-wide"])
def test_scores_and_maps_are_the_papers(model, shots, photographs):
    good = [photographs[1], photographs[4], photographs[0]]
    detector = WinClip(f"openclip/{model}", "solar cell", shots=shots, weights="random:2").fit(good[: max(1, shots)])
    texts = slow_texts(detector, "solar cell")
    for image in (photographs[2], good[0]):
        scores = detector.infer([image])
        score, grid = slow_winclip(detector, image, good[:shots], texts)
        assert scores.image_scores[0] == pytest.approx(score, abs=2e-6)
        size = detector.clip.size
        expected = torch.nn.functional.interpolate(torch.from_numpy(grid)[None, None], size=size, mode="bilinear")
        np.testing.assert_allclose(scores.maps[0], expected[0, 0].numpy(), atol=2e-6)


def test_a_reference_itself_has_nothing_new(photographs):
    detector = WinClip(TINY, weights="random:2").fit(photographs[:2])
    zero = WinClip(TINY, weights="random:2", shots=0).fit(photographs[:2])
    scores, words = detector.infer(photographs), zero.infer(photographs)
    np.testing.assert_allclose(scores.image_scores[:2], words.image_scores[:2] / 2, atol=1e-6)
    assert (scores.image_scores[2:] > words.image_scores[2:] / 2 + 1e-4).all()


def test_windows_cover_every_patch_row_by_row():
    assert windows((3, 3), 2).tolist() == [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    assert windows((2, 4), 3).tolist() == [[0, 1, 2, 4, 5, 6], [1, 2, 3, 5, 6, 7]]
    assert windows((1, 1), 3).tolist() == [[0]]


def test_a_window_that_scores_nothing_makes_its_patches_score_nothing():
    covered = windows((1, 3), 2)  # clipped to one row: {0, 1}, {1, 2}
    grid = harmonic_map(torch.tensor([0.0, 0.5]), covered, (1, 3))
    assert grid.tolist() == [[0.0, 0.0, 0.5]]
    assert harmonic_mean([torch.tensor([0.0, 0.2]), torch.tensor([1.0, 0.6])]).tolist() == pytest.approx([0.0, 0.3])


def test_association_is_between_0_and_1():
    rows = torch.tensor([[2.0, 0.0], [-3.0, 0.0], [0.0, 1.0]])
    assert association(rows, torch.tensor([[1.0, 0.0]])).tolist() == [0.0, 1.0, 0.5]


def test_every_state_is_in_every_template():
    good, defective = prompt_ensemble("solar cell")
    assert (len(good), len(defective)) == (7 * 21, 4 * 21)
    assert "a photo of a flawless solar cell." in good
    assert "a close-up photo of the solar cell with damage." in defective
    assert all("solar cell" in sentence and "{" not in sentence for sentence in good + defective)


def test_words_decide(photographs):
    first, other = (
        WinClip(TINY, name, shots=0, weights="random").fit(photographs[:1]) for name in ("solar cell", "wooden board")
    )
    assert not np.allclose(first.texts_, other.texts_)
    assert not np.allclose(first.decision_function(photographs), other.decision_function(photographs))


def test_images_are_prepared_as_openclip_does_without_cutting(photographs):
    """OpenCLIP's own transform, told to squash: where it cuts, a map would not cover its image."""
    detector = WinClip(TINY, weights="random", shots=0).fit(photographs[:1])
    transform = open_clip.image_transform(64, is_train=False, resize_mode="squash")
    for image in photographs:
        prepared = detector.prepare(image)
        assert prepared is detector.prepare(prepared)
        ours = detector.clip.normalised(prepared)[0]
        np.testing.assert_allclose(ours.numpy(), transform(Image.fromarray(image)).numpy(), atol=2e-6)


def test_shots_are_drawn_by_the_seed(photographs):
    def fitted(seed):
        return WinClip(TINY, shots=2, seed=seed, weights="random").fit(photographs)

    first, again, other = fitted(0), fitted(0), fitted(3)
    assert first.references_["patches"].shape == (2 * 16, 48)
    assert {name: rows.tobytes() for name, rows in first.references_.items()} == {
        name: rows.tobytes() for name, rows in again.references_.items()
    }
    assert not np.array_equal(first.references_["patches"], other.references_["patches"])


def test_towers_without_a_class_token_are_refused_with_those_that_will_do(photographs):
    for model in ("lite0-clip", "tiny-resnet"):
        with pytest.raises(ParameterError, match="allowed: a plain ViT of OpenCLIP"):
            create_model("winclip", backbone=f"openclip/{model}", weights="random").fit(photographs[:1])
    with pytest.raises(ParameterError, match="a plain ViT of OpenCLIP"):
        create_model("clip-patch-map", backbone="openclip/tiny-resnet", weights="random").fit(photographs[:1])


def test_words_that_need_a_foreign_tokenizer_or_do_not_fit_are_refused(photographs):
    with pytest.raises(ParameterError, match="tokenizer of the hub"):
        WinClip("openclip/tiny-foreign-words", weights="random").fit(photographs[:1])
    with pytest.raises(ParameterError, match="too long"):
        WinClip(TINY, "cell " * 80, weights="random").fit(photographs[:1])


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"backbone": "ViT-B-32"}, "openclip/<model>"),
        ({"class_name": " "}, "solar cell"),
        ({"shots": -1}, "at least 0"),
        ({"scales": []}, "[2, 3]"),
        ({"scales": [2, 2]}, "each once"),
        ({"temperature": 0}, "above 0"),
        ({"input_size": [64]}, "height, width"),
        ({"device": "gpu"}, "cuda:<n>"),
    ],
)
def test_parameters_are_refused_before_anything_is_loaded(params, reason):
    with pytest.raises(ParameterError) as caught:
        create_model("winclip", **params)
    assert reason in str(caught.value)


def test_sizes_that_are_no_multiples_of_the_patch_are_refused(photographs):
    with pytest.raises(ParameterError, match="multiples of 16"):
        WinClip(TINY, input_size=72, weights="random").fit(photographs[:1])
