"""Defects drawn into normal images: by them a detector's settings are chosen without any label of a test set.

    drawn = draw_defect(image, np.random.default_rng(0))

They are varied rather than true to one product: a choice made by them has to carry over to defects never seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from ganspect.opencv import cv2

Kind: TypeAlias = Literal["spot", "scratch", "missing", "displaced", "blur", "shade"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Image: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
Values: TypeAlias = np.ndarray[Any, np.dtype[np.floating[Any]]]
_Random: TypeAlias = np.random.Generator

LEAST_SIDE_PX = 28
LEAST_CHANGE = 3
"""Grey levels by which a pixel of the mask differs, at least, in one channel."""
LEAST_MEAN_CHANGE = 4.0
"""Grey levels by which the pixels of the mask differ on average over pixels and channels, at least."""

_LEAST_SHARE = 0.1
"""Of the pixels drawn over: where fewer of them change, what was drawn looks like what was there."""
_TRIES = 20
_ANGLES = 720
_LARGEST = 1.5
"""Diameter of a defect as a share of the image's shorter side, at most: much of an image may be dark or blurred."""


@dataclass(frozen=True)
class Drawn:
    """A defect and the image it was drawn into.

    Attributes:
        image: (H,W,C) uint8; equal to the given image outside the mask.
        mask: (H,W) bool, True where at least one channel changed by `LEAST_CHANGE` grey levels or more; never empty.
        kind: what was drawn: the kind asked for, or `spot` where that one could not be seen in this image.
        size: longest extent of the mask as a share of the image's shorter side, above 0; above 1 where it is longer.
        contrast: mean absolute change over the mask's pixels and channels, as a share of 255; in [4/255, 1].
    """

    image: Image
    mask: Mask
    kind: Kind
    size: float
    contrast: float


@dataclass(frozen=True)
class _Scene:
    """The image to draw into, and how likely a defect's centre is at each of its pixels: (H*W,) sums so far."""

    image: Image
    chances: Values

    @property
    def side_px(self) -> int:
        return int(min(self.image.shape[:2]))

    def place(self, random: _Random) -> tuple[float, float]:
        """Return a point (y, x) in pixels, more often where there is something to see."""
        index = int(np.searchsorted(self.chances, random.uniform(0, self.chances[-1])))
        y, x = divmod(min(index, len(self.chances) - 1), self.image.shape[1])
        return float(y), float(x)


@dataclass(frozen=True)
class _Area:
    """A part of the image: its rows and columns, and (h,w,1) float32 in [0,1], how far each pixel belongs to it."""

    window: tuple[slice, slice]
    cover: Values


_Painted: TypeAlias = tuple[Image, _Area]  # the area, and new pixels (h,w,C) of its window


def draw_defect(image: Image, random: np.random.Generator, *, kind: Kind | None = None) -> Drawn:
    """Draw one defect of random place, size, shape and contrast into a copy of the image.

    Args:
        image: (H,W,C) uint8, C 1 or 3 in any order of colours, at least 28 by 28 pixels; it is not changed.
        random: the same state and image give the same defect.
        kind: what to draw; None: any of `KINDS`, each as likely.

    Raises:
        ValueError: the image has another shape or type, or the kind is unknown.
    """
    _check(image, kind)
    wanted: Kind = KINDS[int(random.integers(len(KINDS)))] if kind is None else kind
    scene = _Scene(np.ascontiguousarray(image), _chances(np.ascontiguousarray(image)))
    for _ in range(_TRIES):
        painted = _PAINTERS[wanted](scene, random)
        if _visible(scene, painted, wanted):
            return _drawn(scene, painted, wanted)
    return _drawn(scene, _definite_spot(scene, random), "spot")


def _check(image: Image, kind: str | None) -> None:
    right_type = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (1, 3)
    if not right_type or min(image.shape[:2]) < LEAST_SIDE_PX:
        raise ValueError(
            f"a {image.dtype} image of shape {image.shape} was given, but defects are drawn into uint8 images (H,W,1) "
            f"or (H,W,3) of at least {LEAST_SIDE_PX} by {LEAST_SIDE_PX} pixels; convert it"
        )
    if kind is not None and kind not in KINDS:
        raise ValueError(f"there is no kind of defect {kind!r}; use one of {', '.join(KINDS)}")


def _chances(image: Image) -> Values:
    """Sum up how likely each pixel is a centre: rather on the part than on a plain background around it."""
    grey = image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    gradient = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    side = min(grey.shape) // 16 * 2 + 1
    structure = cv2.blur(cv2.blur(gradient, (side, side)), (side, side))
    share = structure / (structure + structure.mean() + 1e-6)  # saturates: one bright edge must not draw them all
    return np.asarray(np.cumsum(share + 0.03, dtype=np.float64))


def _visible(scene: _Scene, painted: _Painted, kind: Kind) -> bool:
    """Tell whether enough of what was painted over has changed, and by enough."""
    pixels, area = painted
    change = pixels.astype(np.float32) - scene.image[area.window]
    mask = np.abs(change).max(2) >= LEAST_CHANGE
    if mask.sum() < max(1.0, _LEAST_SHARE * float((area.cover > 0.5).sum())):
        return False
    means = [np.abs(change)[mask].mean()]
    if kind in ("missing", "displaced"):  # texture in place of the same texture changes pixels, not their local mean
        side_px = max(3, scene.side_px // 80 * 2 + 1)
        means.append(np.abs(cv2.blur(change, (side_px, side_px)).reshape(change.shape))[mask].mean())
    return bool(min(means) >= LEAST_MEAN_CHANGE)


def _drawn(scene: _Scene, painted: _Painted, kind: Kind) -> Drawn:
    """Leave out what nobody could see, and measure the rest."""
    pixels, area = painted
    image, mask, old = scene.image.copy(), np.zeros(scene.image.shape[:2], np.bool_), scene.image[area.window]
    change = np.abs(pixels.astype(np.float32) - old)
    changed = mask[area.window] = change.max(2) >= LEAST_CHANGE
    image[area.window] = np.where(changed[..., None], pixels, old)
    # The smallest rectangle around the mask, turned as need be, runs through the centres of pixels.
    extent_px = 1.0 + max(cv2.minAreaRect(cv2.findNonZero(mask.astype(np.uint8)))[1])
    return Drawn(image, mask, kind, extent_px / scene.side_px, float(change[changed].mean()) / 255)


def _definite_spot(scene: _Scene, random: _Random) -> _Painted:
    """Paint what can be seen in any image: half way to black or to white, whichever is farther, in each channel."""
    area = _blob(scene, random, (0.1, 0.15), softness=0.0)
    mean = (area.cover * scene.image[area.window]).sum((0, 1)) / area.cover.sum()
    return _blend(scene, area, np.where(mean < 128, 255.0, 0.0), 0.5)


def _log_uniform(random: _Random, low: float, high: float) -> float:
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def _blob(scene: _Scene, random: _Random, share: tuple[float, float], softness: float) -> _Area:
    """Return an area with a wobbling outline somewhere in the image, its extent between two shares of the side.

    Its edge is as sharp as pixels allow for a softness of 0 or less, and rises up to the centre for 1.
    """
    radius, centre = max(1.0, _log_uniform(random, *share) * scene.side_px / 2), scene.place(random)
    rows, columns = (
        np.arange(max(0, int(middle - radius) - 4), min(side, int(middle + radius) + 6))
        for middle, side in zip(centre, scene.image.shape, strict=False)
    )
    y, x = rows[:, None] - centre[0], columns[None] - centre[1]
    index = (np.arctan2(y, x) * (_ANGLES / (2 * np.pi))).astype(np.intp)  # from -360 to 360: negative ones wrap around
    ragged = _log_uniform(random, 0.02, 0.6) * min(1.0, 1 - softness)  # a soft ragged one would look like a pinwheel
    inside_px = radius * _outline(random, ragged)[index] - np.hypot(y, x)
    cover = np.clip((inside_px + 0.5) / max(1.0, softness * radius), 0, 1)
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return _Area(window, (cover * cover * (3 - 2 * cover))[..., None].astype(np.float32))


def _outline(random: _Random, ragged: float) -> Values:
    """Return (720,) in (0,1], the distance of an outline from its centre by angle: an ellipse that wobbles."""
    angles = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    ratio = _log_uniform(random, 0.3, 1)
    turned = angles + random.uniform(0, np.pi)
    ellipse = ratio / np.hypot(ratio * np.cos(turned), np.sin(turned))
    waves = np.arange(2, 14)
    heights = random.normal(0, ragged, len(waves)) / waves
    wobble = heights @ np.cos(waves[:, None] * angles + random.uniform(0, 2 * np.pi, (len(waves), 1)))
    distance = ellipse * np.exp(wobble)
    return np.asarray(distance / distance.max())


def _blend(scene: _Scene, area: _Area, new: Values, opacity: float) -> _Painted:
    """Lay new pixels, (h,w,C) of the window or one colour (C,), over the old; beyond [0,1] it goes on from either."""
    old = scene.image[area.window].astype(np.float32)
    return np.clip(np.rint(old + opacity * area.cover * (new - old)), 0, 255).astype(np.uint8), area


def _colour(scene: _Scene, random: _Random) -> Values:
    """Return (C,) in [0,255]: black, white, or in a colour image sometimes any colour."""
    channels = scene.image.shape[2]
    if channels == 3 and random.random() < 0.3:
        return np.asarray(random.uniform(0, 255, channels))
    return np.full(channels, random.choice([0.0, 255.0]))


def _opacity(random: _Random, faintest: float) -> float:
    """Return a share in (0,1], every fourth time 1: much that is real covers what it lies on, or is gone."""
    return 1.0 if random.random() < 0.25 else _log_uniform(random, faintest, 1)


def _spot(scene: _Scene, random: _Random) -> _Painted:
    area = _blob(scene, random, (0.02, 0.25), softness=random.uniform(-0.3, 1))
    if scene.image.shape[2] == 3 and random.random() < 0.25:
        return _blend(scene, area, _other_hue(scene.image[area.window], random), _opacity(random, 0.2))
    return _blend(scene, area, _colour(scene, random), _opacity(random, 0.05))


def _other_hue(pixels: Image, random: _Random) -> Values:
    hsv = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int32) + int(random.integers(15, 166))) % 180  # OpenCV's circle has 180 steps
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.float32)


def _scratch(scene: _Scene, random: _Random) -> _Painted:
    """Paint a line of two arms, sometimes a fork of three, from a centre."""
    canvas = np.zeros(scene.image.shape[:2], np.uint8)
    length_px = _log_uniform(random, 0.1, _LARGEST) * scene.side_px
    width_px = round(_log_uniform(random, 1, max(1.5, 0.03 * scene.side_px)))
    centre, angle = scene.place(random), random.uniform(0, 2 * np.pi)
    crooked = _log_uniform(random, 0.02, 0.4)
    fork = [random.uniform(0.3, 2.8)] if random.random() < 0.25 else []
    for turn in [0.0, np.pi, *fork]:
        line = np.rint(16 * _walk(random, centre, angle + turn, length_px / 2, crooked)).astype(np.int32)
        cv2.polylines(canvas, [line], False, 255, width_px, cv2.LINE_AA, shift=4)
    x, y, width, height = cv2.boundingRect(canvas)
    window = slice(y, y + height), slice(x, x + width)
    area = _Area(window, canvas[window][..., None].astype(np.float32) / 255)
    return _blend(scene, area, _colour(scene, random), _opacity(random, 0.1))


def _walk(random: _Random, start: tuple[float, float], angle: float, px: float, crooked: float) -> Values:
    """Return (N,2) points (x, y) of a line of so many pixels, whose angle in radians wanders."""
    steps = max(2, round(px / 2))
    angles = angle + np.cumsum(random.normal(0, crooked, steps))
    way = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1), 0) * (px / steps)
    return np.asarray(np.vstack([np.zeros((1, 2)), way]) + start[::-1])


def _missing(scene: _Scene, random: _Random) -> _Painted:
    """Let what surrounds an area grow over it, or give it one colour: of its surroundings or of the image's border."""
    area = _blob(scene, random, (0.06, _LARGEST), softness=random.uniform(0, 0.2))
    image, pixels = scene.image, np.ascontiguousarray(scene.image[area.window])
    inside = area.cover[..., 0] > 0
    around = [pixels[~inside], np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])]
    fill = int(random.integers(3)) if len(around[0]) else 1
    if fill < 2:
        return _blend(scene, area, np.median(around[fill], 0), _opacity(random, 0.4))
    new = cv2.inpaint(pixels, inside.astype(np.uint8), 3, cv2.INPAINT_TELEA).reshape(pixels.shape)
    return _blend(scene, area, new.astype(np.float32), _opacity(random, 0.4))


def _displaced(scene: _Scene, random: _Random) -> _Painted:
    """Copy to an area what lies elsewhere or a few pixels away, sometimes turned, sometimes mirrored."""
    area = _blob(scene, random, (0.06, _LARGEST), softness=random.uniform(0, 0.3))
    height, width = area.cover.shape[:2]
    middle = np.array([width - 1, height - 1]) / 2
    near = middle + [part.start for part in area.window[::-1]] + random.normal(0, 0.03 * scene.side_px, 2)
    source = near if random.random() < 0.5 else np.array(scene.place(random)[::-1])
    angle = random.choice([0.0, random.uniform(0, 2 * np.pi)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * [random.choice([-1, 1]), 1]
    matrix = np.hstack([turn, (source - turn @ middle)[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(scene.image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return _blend(scene, area, moved.reshape((height, width, -1)).astype(np.float32), 1.0)


def _blur(scene: _Scene, random: _Random) -> _Painted:
    """Take away what is fine in an area, exaggerate it, or add grain, the same in all channels."""
    area = _blob(scene, random, (0.08, _LARGEST), softness=random.uniform(0, 1))
    old = scene.image[area.window].astype(np.float32)
    if random.random() < 1 / 3:
        noise = cv2.GaussianBlur(random.normal(0, 1, old.shape[:2]), (0, 0), random.uniform(0.3, 1.5))
        return _blend(scene, area, old + noise[..., None] / noise.std(), _log_uniform(random, 6, 60))
    sigma_px = _log_uniform(random, 0.8, max(1.0, 0.04 * scene.side_px))
    fine = old - cv2.GaussianBlur(old, (0, 0), sigma_px).reshape(old.shape)
    return _blend(scene, area, old + fine, random.choice([-1.0, _log_uniform(random, 0.5, 4)]))


def _shade(scene: _Scene, random: _Random) -> _Painted:
    area = _blob(scene, random, (0.3, _LARGEST), softness=random.uniform(0.2, 0.9))
    return _blend(scene, area, _colour(scene, random), _log_uniform(random, 0.06, 0.8))


_PAINTERS: Mapping[Kind, Callable[[_Scene, _Random], _Painted]] = dict(
    zip(KINDS, (_spot, _scratch, _missing, _displaced, _blur, _shade), strict=True)
)
