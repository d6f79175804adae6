"""The dataset layouts that pyimgano reads, as data; see ``docs/datasets.md``."""

from __future__ import annotations

from pyimgano.core.specs import DatasetSpec

__all__ = ["DATASETS"]

DATASETS = (
    DatasetSpec(
        name="folder",
        summary="Any folder of your own: split folders, good/defect folders, or good images only",
        factory="pyimgano.datasets.folder:FolderReader",
        tags=("folders", "masks", "multi-category", "own-data"),
        layout="[<category>/]train/{good|normal|ok}/*, test/{good|normal|ok}/*, test/<defect>/*, "
        "ground_truth/<defect>/<stem>{,_mask}.*; or good/* and <defect>/*; or images only",
    ),
    DatasetSpec(
        name="manifest",
        summary="A JSONL or CSV file that lists images with label, split, mask, category and group",
        factory="pyimgano.datasets.manifest:ManifestReader",
        tags=("manifest", "masks", "multi-category", "own-data"),
        layout="image_path[,label][,split][,mask_path][,category][,group][,defect][,free columns]; "
        "paths relative to the file",
    ),
    DatasetSpec(
        name="mvtec",
        summary="MVTec AD, MVTec LOCO AD, MVTec AD 2, and what follows their layout (MPDD, AutoVI)",
        factory="pyimgano.datasets.mvtec:MVTecReader",
        tags=("folders", "masks", "multi-category", "public"),
        paper="P. Bergmann et al., The MVTec Anomaly Detection Dataset, IJCV 2021; Beyond Dents and Scratches (LOCO), "
        "IJCV 2022; L. Heckler-Kram et al., The MVTec AD 2 Dataset, arXiv 2503.21622",
        layout="<category>/train/good/*, [validation/good/*,] {test|test_public}/{good|<defect>}/*, "
        "ground_truth/<defect>/<stem>_mask.png or <stem>/*.png",
        url="https://www.mvtec.com/company/research/datasets",
    ),
    DatasetSpec(
        name="visa",
        summary="VisA, raw with its split CSV or prepared as folders",
        factory="pyimgano.datasets.visa:VisAReader",
        tags=("csv", "folders", "masks", "multi-category", "public"),
        paper="Y. Zou et al., SPot-the-Difference Self-Supervised Pre-training for Anomaly Detection and Segmentation, "
        "ECCV 2022",
        layout="<object>/Data/Images/{Normal,Anomaly}/*, <object>/Data/Masks/Anomaly/*, split_csv/1cls.csv; "
        "or [1cls/]<object>/{train,test}/{good,bad}/*, <object>/ground_truth/bad/*",
        url="https://github.com/amazon-science/spot-diff",
    ),
)
