"""Everything that an evaluation measured, before it is put into metrics.json and the page."""

from collections.abc import Mapping
from dataclasses import dataclass

from ganspect.bundle import Bundle
from ganspect.records import Mode, Threshold
from ganspect.runtime.evaluation.baselines import PcaPair
from ganspect.runtime.evaluation.bootstrap import Floats, Resampling
from ganspect.runtime.evaluation.curve import Curve
from ganspect.runtime.evaluation.features import FeatureBaseline
from ganspect.runtime.evaluation.labelled import LabelledImages
from ganspect.runtime.evaluation.passes import FullPass, ScreenedPass
from ganspect.runtime.evaluation.pixels import PixelMetrics
from ganspect.runtime.scale import ScoreScale


@dataclass(frozen=True)
class Evaluated:
    """One bundle on one data set.

    Attributes:
        bundle: what was measured.
        backend: that ran it: name, version and precision.
        mode: `search` or `encoder`, the score that the figures are for.
        steps: K of the full pass.
        images: that it was measured on.
        full: scores with exit off, raw.
        scales: on which the deployed score of each mode is shown; figures are computed on raw ones.
        screened: verdicts as deployed.
        pca: scores of PCAs; None where there are too few normal training images.
        features: simple detectors on the bundle's features; none where it sees pixels.
        intensity: (n,) mean intensity of each image, 0 to 255.
        pixel: pixel metrics, of all images and kind by kind; None where there are no masks.
        curve: AUROC over iterations, if it was asked for and can be drawn.
        resampling: of every interval.
    """

    bundle: Bundle
    backend: Mapping[str, str]
    mode: Mode
    steps: int
    images: LabelledImages
    full: FullPass
    scales: Mapping[Mode, ScoreScale]
    screened: ScreenedPass
    pca: PcaPair | None
    features: tuple[FeatureBaseline, ...]
    intensity: Floats
    pixel: PixelMetrics | None
    curve: Curve | None
    resampling: Resampling

    @property
    def score(self) -> Floats:
        """Return the deployed score of the mode, (n,), exit off, raw."""
        return self.full.of_mode(self.mode)

    @property
    def threshold(self) -> Threshold | None:
        """Return the mode's threshold, raw; None in encoder mode where the calibration had no encoder."""
        calibration = self.bundle.require_calibration()
        return calibration.search if self.mode == "search" else calibration.encoder

    @property
    def shown_score(self) -> Floats:
        """Return the same as users see it."""
        return self.scales[self.mode].of(self.score)
