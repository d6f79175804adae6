"""Written for a plugin contract of another time."""

from pyimgano.core.specs import ComponentSpec

COMPONENTS = (
    ComponentSpec("acme-from-the-future", "Written for a later pyimgano", "acme_broken.nowhere:Nothing", api=999),
)
