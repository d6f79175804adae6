"""What a listing knows of the drifts."""

from __future__ import annotations

from pyimgano.core.specs import ComponentSpec

__all__ = ["AUGMENT"]

_HERE = "pyimgano.workbench.augment"


def _drift(name: str, tag: str, place: str, summary: str) -> ComponentSpec:
    return ComponentSpec(name, summary, f"{_HERE}.{place}", tags=(tag,), kind="augment")


AUGMENT = (
    _drift(
        "background", "surface", "surface:Background", "Another colour of the uniform background, where there is one"
    ),
    _drift("conveyor-jitter", "geometry", "geometry:ConveyorJitter", "Rows of a line-scan camera above an uneven belt"),
    _drift("defocus", "optics", "optics:Defocus", "The part lies out of focus"),
    _drift("dust", "surface", "surface:Dust", "Dirt on the lens and dust on the part"),
    _drift("exposure", "light", "light:Exposure", "More or less light on the sensor"),
    _drift("flicker", "light", "light:Flicker", "Bands of light and dark below lamps on alternating current"),
    _drift("gamma", "light", "light:Gamma", "Another tone curve"),
    _drift("glare", "light", "illumination:Glare", "Bright specular reflections"),
    _drift("jpeg", "sensor", "sensor:JPEG", "Lossy compression"),
    _drift("light-gradient", "light", "illumination:LightGradient", "Light that falls off across the image"),
    _drift("motion-blur", "optics", "optics:MotionBlur", "The part moves while the shutter is open"),
    _drift("perspective", "geometry", "geometry:Perspective", "A tilted camera"),
    _drift("rolling-shutter", "sensor", "sensor:RollingShutter", "Upright lines lean, since rows are read in turn"),
    _drift("rotation", "geometry", "geometry:Rotation", "The part lies turned"),
    _drift("scale", "geometry", "geometry:Scale", "The part is nearer or farther"),
    _drift("sensor-noise", "sensor", "sensor:SensorNoise", "Shot and read noise of an image with less light"),
    _drift("shadow", "light", "illumination:Shadow", "A shadow with a soft edge over a part of the image"),
    _drift("shift", "geometry", "geometry:Shift", "The part lies elsewhere"),
    _drift("white-balance", "light", "light:WhiteBalance", "Warmer or colder light"),
)
