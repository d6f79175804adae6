"""Makes a Lightning module of anomalib from data: a class by name, its parameters, its pre-processor."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Optional

from pyimgano.anomalib.backbone_files import networks_from_file, networks_without_weights
from pyimgano.anomalib.index import ImageModel
from pyimgano.anomalib.surroundings import quiet
from pyimgano.core.errors import MissingDependencyError, ParameterError, PyimganoError, WeightsError

__all__ = ["anomalib_errors", "import_anomalib", "make_module", "module_class", "plain_parameters"]

_NETWORK_LIBRARIES = ("http", "httpcore", "httpx", "huggingface_hub", "requests", "urllib", "urllib3")


def import_anomalib() -> Any:
    """Return the module ``anomalib.models.image``; the first import takes some seconds, and warns of nothing.

    Every module here that imports anomalib at its top is imported after this.

    Raises
    ------
    MissingDependencyError, PyimganoError
        When anomalib, or what it stands on, is missing or broken.
    """
    with quiet(), anomalib_errors("anomalib"):
        import anomalib.models.image as offered

        return offered


def module_class(model: ImageModel) -> Any:
    """Return the Lightning module's class."""
    return getattr(import_anomalib(), model.class_name)


def make_module(
    model: ImageModel,
    params: Mapping[str, Any],
    *,
    input_size: Optional[tuple[int, int]] = None,
    pixel_mean: Optional[Sequence[float]] = None,
    pixel_std: Optional[Sequence[float]] = None,
    backbone_weights: Optional[Path] = None,
    weights: bool = True,
) -> Any:
    """Return an untrained module without post-processor, evaluator and visualiser.

    Parameters
    ----------
    model : ImageModel
        Which.
    params : mapping
        Parameters of its constructor. The value of an enumeration's member stands for the member, a list for a tuple.
    input_size : (int, int), optional
        (height, width) that images are resized to. Default: the model's own.
    pixel_mean, pixel_std : sequence of float, optional
        Of pixels in [0, 1]. Default: the model's own, mostly ImageNet's.
    backbone_weights : Path, optional
        See :func:`~pyimgano.anomalib.backbone_files.networks_from_file`.
    weights : bool
        False leaves out what timm would load: for a module whose whole state is loaded afterwards.

    Raises
    ------
    ParameterError
        When the constructor refuses a parameter.
    WeightsError
        When weights would have to be downloaded, and cannot be.
    MissingDependencyError
        When the model needs a package that anomalib does not bring.
    """
    made = module_class(model)
    where = model.class_name
    loading = networks_from_file(backbone_weights) if weights else networks_without_weights()
    with quiet(), anomalib_errors(where), loading:
        given = _typed(made, params)
        processor: Any = True
        if input_size is not None or pixel_mean is not None or pixel_std is not None:
            processor = _pre_processor(made, input_size, pixel_mean, pixel_std, where)
        return made(**given, pre_processor=processor, post_processor=False, evaluator=False, visualizer=False)


def _pre_processor(
    made: Any,
    input_size: Optional[tuple[int, int]],
    mean: Optional[Sequence[float]],
    std: Optional[Sequence[float]],
    where: str,
) -> Any:
    from anomalib.pre_processing import PreProcessor
    from pyimgano.anomalib.preparation import Preparation, with_pixel_statistics

    processor = made.configure_pre_processor(image_size=input_size)
    if mean is not None or std is not None:
        processor = PreProcessor(transform=with_pixel_statistics(processor.transform, mean, std, where=where))
    sizes = [step.size for step in Preparation(processor.transform).steps if hasattr(step, "size")]
    if input_size is not None and not any(list(size) == list(input_size) for size in sizes):
        raise ParameterError(
            f"input_size = {list(input_size)}",
            where=where,
            allowed=f"{', '.join(str(list(size)) for size in sizes)}: the model does not let it be chosen",
        )
    return processor


def _typed(made: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Give parameters that came from JSON the types that the constructor's defaults have."""
    known = inspect.signature(made.__init__).parameters
    given = {}
    for name, value in params.items():
        default = known[name].default if name in known else None
        if isinstance(default, Enum) and isinstance(value, str):
            value = _member(type(default), name, value, made.__name__)
        elif isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        given[name] = value
    return given


def _member(kind: type[Enum], name: str, value: str, where: str) -> Enum:
    for member in kind:
        if value in (member.value, member.name):
            return member
    raise ParameterError(f"{name} = {value!r}", where=where, allowed=", ".join(str(member.value) for member in kind))


def plain_parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON has them: the opposite of what :func:`make_module` does to them."""

    def plain(value: Any) -> Any:
        if isinstance(value, Enum):
            return value.value
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value

    return {name: plain(value) for name, value in params.items()}


@contextlib.contextmanager
def anomalib_errors(where: str) -> Iterator[None]:
    """Turn what anomalib and what it stands on raise into errors that say what to do."""
    try:
        yield
    except PyimganoError:
        raise
    except ImportError as error:
        missing = error.name or "a package"
        raise MissingDependencyError(
            f"anomalib cannot be imported whole: {error}",
            where=where,
            hint=f'pip install {missing.partition(".")[0].replace("_", "-")}, or pip install --upgrade "anomalib>=2"',
        ) from error
    except Exception as error:  # a stranger's constructor or training may raise anything; the cause is kept
        inner = _own_error(error)
        if inner is not None:
            raise inner from error
        if _is_download(error):
            raise WeightsError(
                f"anomalib's {where} downloads what it needs, and could not: {type(error).__name__}: {_first(error)}",
                where=where,
                hint="once with a connection (HF_HUB_OFFLINE unset), after which it lies in the libraries' caches; "
                "weights of a timm backbone also come from a file: backbone_weights",
            ) from error
        raise PyimganoError(f"anomalib failed: {type(error).__name__}: {_first(error)}", where=where) from error


def _chain(error: Optional[BaseException]) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _own_error(error: BaseException) -> Optional[PyimganoError]:
    return next((link for link in _chain(error) if isinstance(link, PyimganoError)), None)


def _is_download(error: BaseException) -> bool:
    from urllib.error import URLError

    return any(
        isinstance(link, (ConnectionError, TimeoutError, URLError))
        or any(kind.__module__.partition(".")[0] in _NETWORK_LIBRARIES for kind in type(link).__mro__)
        for link in _chain(error)
    )


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no message"
