"""The light core of pyimgano: contracts, specs, registries and the few services that every other package shares.

Importing it, or any of its modules that listings use, imports neither NumPy nor anything heavier.
"""

from pyimgano.core.specs import API_VERSION, ComponentSpec, DatasetSpec, ModelSpec, RecipeSpec, Requirement

__all__ = [
    "API_VERSION",
    "ComponentSpec",
    "DatasetSpec",
    "ModelSpec",
    "RecipeSpec",
    "Requirement",
    "__version__",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from pyimgano.core.plugins import find_distribution_version

        return find_distribution_version("pyimgano-core") or "unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
