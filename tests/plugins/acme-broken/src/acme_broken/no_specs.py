"""Holds values of the wrong kind."""

MODELS = ({"name": "acme-dictionary", "factory": "acme_broken.nowhere:Nothing"},)
NUMBER = 42
