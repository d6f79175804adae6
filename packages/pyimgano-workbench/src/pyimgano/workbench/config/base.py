"""What the sections of the run config are made of."""

# No `from __future__ import annotations`: pydantic evaluates these annotations, on Python 3.9 too.

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["ComponentConfig", "Frozen", "PlainJson"]


def _plain_json(value: Any) -> Any:
    """Refuse what strict JSON cannot hold, so that a resolved config can always be written."""
    from pyimgano.core.files import dumps_json

    try:
        dumps_json(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"must be made of text, finite numbers, true/false, lists and tables ({error})") from error
    return value


PlainJson = AfterValidator(_plain_json)


class Frozen(BaseModel):
    """A section: what it does not name is refused, nothing is converted, and nothing changes later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=False
    )


class ComponentConfig(Frozen):
    """One component of a kind, by name (`pyimgano components list`)."""

    name: str = Field(description="Name of the component.", min_length=1)
    params: Annotated[dict[str, Any], PlainJson] = Field(
        default_factory=dict, description="Parameters of the component."
    )
