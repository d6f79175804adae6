"""What this distribution registers: data only, nothing heavy is imported (see :mod:`pyimgano.core.specs`)."""

from __future__ import annotations

from pyimgano.core.specs import ComponentSpec, ModelSpec, Requirement

__all__ = ["COMPONENTS", "MODELS"]

TORCH = Requirement("torch", "pyimgano-openclip")
OPEN_CLIP = Requirement("open_clip", "open-clip-torch")

MODELS = (
    ModelSpec(
        name="clip-patch-map",
        summary="CLIP's features of every place against words for good and defective parts; needs no good images",
        factory="pyimgano.openclip.clip_patch_map:ClipPatchMap",
        tags=("deep", "zero-shot", "text", "pixel"),
        requires=(TORCH, OPEN_CLIP),
        paper="Zhou, Loy & Dai, Extract Free Dense Labels from CLIP, ECCV 2022, arXiv 2112.01071; the words of WinCLIP",
        pixel_map=True,
    ),
    ModelSpec(
        name="winclip",
        summary="WinCLIP: windows of CLIP's view against words, and against the windows of a few good images",
        factory="pyimgano.openclip.winclip:WinClip",
        tags=("deep", "zero-shot", "few-shot", "text", "memory-bank", "pixel"),
        requires=(TORCH, OPEN_CLIP),
        paper="Jeong et al., WinCLIP: Zero-/Few-Shot Anomaly Classification and Segmentation, CVPR 2023, "
        "arXiv 2303.14814",
        pixel_map=True,
    ),
)

COMPONENTS = (
    ComponentSpec(
        name="openclip",
        summary="Any image tower of OpenCLIP, by its name there; as a backbone: openclip/<model>[:<pretrained tag>]",
        factory="pyimgano.openclip.extractor:OpenClipExtractor",
        tags=("image", "patch"),
        requires=(TORCH, OPEN_CLIP),
        kind="features",
    ),
    ComponentSpec(
        name="openclip",
        summary="Where the weights of OpenCLIP's models come from",
        factory="pyimgano.openclip.weight_provider:OpenClipWeights",
        kind="weights",
    ),
)
