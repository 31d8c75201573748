"""What manifest.json and calibration.json hold, key by key.

manifest = Manifest.model_validate_json(path.read_bytes())
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ganspect.scoring import Residual, terms_of

SCHEMA_VERSION = 2
"""Of manifest.json; 2 came with backbones and a bundle's own mode. Older bundles see pixels, and search."""

CALIBRATION_SCHEMA_VERSION = 1

Precision: TypeAlias = Literal["fp32", "bf16", "fp16", "int8"]
"""Of the convolutions; sums of the loss, scores and Adam's state are float32 in all."""

Mode: TypeAlias = Literal["search", "encoder"]
"""What verdicts come from: the latent search, or the encoder's score alone."""

Weighing: TypeAlias = Literal["place", "pooled", "plain"]
"""How a residual's channels are weighed: by their covariance at each place or over all places, or not at all."""

Side = Annotated[int, Field(ge=1, le=16_384)]
"""Of an image in pixels; a damaged manifest must not ask for all memory."""

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16", "int8")


class Record(BaseModel):
    """A part of the manifest or the calibration; unknown keys and numbers without end are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageRecord(Record):
    """The model's input; see `ganspect.config.ImageSettings` for the fields shared with recipes."""

    size_hw: tuple[Side, Side]
    channels: Literal[1, 3]
    colour_order: Literal["grey", "rgb"]
    bits: Literal[8, 12, 16]
    fit: Literal["resize", "tiles"]
    overlap: Annotated[float, Field(ge=0, le=0.9)]


class BackboneRecord(Record):
    """The frozen network whose activations the bundle's formulas are about; its weights are in the graphs.

    Attributes:
        name: the recipe's `backbone.name` (`ganspect.config.BackboneSettings`).
        layers: numbers of its layers.
        channels: channels of the whitened map.
        grid_hw: places of the map.
        size_bytes: size of its weights and the whitening in float32.
        weights_sha256: SHA-256 of the file that its weights were read from; None in bundles that did not record it.
    """

    name: str
    layers: tuple[int, ...]
    channels: Annotated[int, Field(ge=1, le=65_536)]
    grid_hw: tuple[Side, Side]
    size_bytes: int
    weights_sha256: str | None = None


class LatentRecord(Record):
    """The latent space: length, and the prior that the generator was trained on.

    `scale` is the prior's deviation, the root of its mean square over dimensions where they differ; random starts, each
    dimension by its own mean and deviation, are stored beside the graphs. `grid_hw` are the places of a map of latents,
    whose rows are by channels, then rows, then columns; None: latents are vectors.
    """

    size: Annotated[int, Field(ge=1, le=1_000_000)]
    grid_hw: tuple[Side, Side] | None = None
    prior: Literal["normal"] = "normal"
    scale: float = 1.0


class SearchRecord(Record):
    """The search as frozen into the graphs; `steps` is the default K and may be changed at run time."""

    steps: Annotated[int, Field(ge=1, le=1_000_000)]
    burn_in: Annotated[int, Field(ge=0)]
    restarts: Annotated[int, Field(ge=1, le=10_000)]
    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    clip: float | None
    feature_weight: float
    reduction: Literal["mean", "sum"]
    discrimination: Literal["features", "fooling"] = "features"
    residual: Residual = "absolute"
    huber_delta: float = 0.1
    trimmed_share: float = 0.05


class ScoreRecord(Record):
    """Scores: which are deployed, and all that the bundle can compute.

    Attributes:
        search: name of the one that the search tracks.
        encoder: name of the encoder mode's; None without an encoder.
        paper: name of the one in the system's paper.
        formulas: formula of every score that the bundle can compute, by its name.
        feature_weight: λ of AnoGAN's scores.
        alpha: α of EGBAD's scores.
        kappa: κ of f-AnoGAN's score.
        needs_pixel_statistics: whether a deployed score does.
        scale: `min_max`: users see the deployed scores relative to the calibration's `ScoreRange`; decisions are taken
            on raw ones.
        weighing: how residuals are weighed (`ganspect.config.ScoreSettings`); with one, heat maps are in deviations of
            normal images, and else in [0, 1].
        share: share of the places that `weighed_residual` averages.
        relative: share of an image's own level that is taken out of weighed residuals.
        deviations: deviation of each term of a deployed sum over held-out normal images, by the score's name.
    """

    search: str
    encoder: str | None
    paper: str
    formulas: dict[str, str]
    feature_weight: float = 0.1
    alpha: float = 0.9
    kappa: float = 1.0
    needs_pixel_statistics: bool
    scale: Literal["none", "min_max"] = "none"
    weighing: Weighing | None = None
    share: float = 0.01
    relative: float = 0.0
    deviations: dict[str, Annotated[float, Field(gt=0)]] = {}

    @model_validator(mode="after")
    def _sums_have_deviations(self) -> "ScoreRecord":
        for name in filter(None, (self.search, self.encoder)):
            terms = terms_of(name)
            if len(terms) > 1 and not set(terms) <= set(self.deviations):
                raise ValueError(f"the sum {name!r} is deployed without the deviations of its terms")
        return self


class GraphRecord(Record):
    """One ONNX graph: its file and the names of its inputs and outputs, in order.

    `variants` are files of the same graph in other forms, by the form's name: `loop-weights` and `phases` (rewritten,
    for runtimes that are faster on them), `bf16`, `phases-bf16`, `fp16`, `int8`, `int8-symmetric` (lower precision);
    see `ganspect.export.variants`.
    """

    file: str
    inputs: list[str]
    outputs: list[str]
    variants: dict[str, str] = {}


class GateRecord(Record):
    """What the verification of one backend in one precision found when the bundle was exported.

    Attributes:
        version: the inference engine's version.
        device: its name.
        guard: distance from the threshold within which float32 decides, by mode (`search`, `encoder`); None for
            float32 itself.
        agreement: for each mode the figures of `ganspect.runtime.verification.agreement.Agreement`.
    """

    version: str
    device: str
    guard: dict[str, float] | None
    agreement: dict[str, dict[str, Any]]


class TrainingRecord(Record):
    """What the networks were trained on, so that evaluation on the same images can be refused.

    Attributes:
        source: the data set as the recipe named it.
        split_seed: seed of the train/test split and the held-out part.
        n_training: images trained on.
        n_skipped: unreadable images that were left out.
        fingerprints: fingerprints of the images trained on (`ganspect.datasets.fingerprint`).
        held_out: fingerprints of the normal images kept back for calibration.
        steps: training steps by stage.
    """

    source: str
    split_seed: int
    n_training: int
    n_skipped: int
    fingerprints: list[str]
    held_out: list[str]
    steps: dict[str, int]


class ChoiceRecord(Record):
    """What was chosen for a run by drawn defects (`ganspect.train.choosing`); part of run.json and manifest.json.

    Attributes:
        settings: what the recipe has on top of its own, `section.key=value` each.
        auroc: AUROC of drawn against normal images by the candidate that was chosen.
        images: normal images.
        drawn: images with a defect drawn on them.
        candidates: each with its settings and its AUROC.
        discriminator: `auroc` with a discriminator of places and `auroc_without`, on drawn defects of kinds that it was
            not trained on; None where the recipe has none.
    """

    settings: list[str]
    auroc: float
    images: int
    drawn: int
    candidates: list[dict[str, Any]]
    discriminator: dict[str, float] | None = None


class ModeRecord(Record):
    """Which mode a bundle's verdicts come from, where export decided it by drawn defects.

    Attributes:
        mode: the one that was chosen.
        encoder_auroc: the encoder's AUROC of drawn against held-out normal images; None without an encoder.
        search_auroc: the search's AUROC of the same images.
        low: lower end of the paired 95% interval of the search's AUROC less the encoder's.
        high: its upper end.
        images: normal images, of each the middle tile; of few nothing is sure, and the encoder is taken.
        drawn: images with a defect drawn on them.
    """

    mode: Mode
    encoder_auroc: float | None
    search_auroc: float | None
    low: float | None
    high: float | None
    images: int
    drawn: int


class Health(Record):
    """What the last checks of a training's stages say (`ganspect.train.health`); part of run.json and manifest.json.

    Attributes:
        stages: the figures of each stage's last check, by the stage's name; only of stages that have any.
        warnings: one sentence for each thing that is wrong, such as a collapsed generator.
    """

    stages: dict[str, dict[str, float]] = {}
    warnings: list[str] = []


class Manifest(Record):
    """`manifest.json`: everything that a runtime must know, and the hash of every file.

    `mode` is what verdicts come from unless another is asked for. `backbone` is None where the networks see pixels.
    """

    schema_version: int = SCHEMA_VERSION
    ganspect_version: str
    system: str
    mode: Mode = "search"
    image: ImageRecord
    backbone: BackboneRecord | None = None
    latent: LatentRecord
    search: SearchRecord
    scores: ScoreRecord
    graphs: dict[str, GraphRecord]
    sha256: dict[str, str] = Field(description="of every file that export wrote, by its path in the bundle")
    parity: dict[str, Any]
    precisions: dict[str, dict[str, GateRecord]] = Field(
        default={}, description="those verified at export, and by which backends"
    )
    training: TrainingRecord
    health: Health = Health()
    choice: ChoiceRecord | None = None
    mode_choice: ModeRecord | None = None
    recipe: dict[str, Any]
    versions: dict[str, str]


class Threshold(Record):
    """A conformal threshold: the k-th smallest of n held-out normal scores.

    Attributes:
        value: T; a frame is normal if its score is at or under it.
        n: frames that it was taken from.
        k: its rank among them, from 1.
        false_alarm_rate: a, the most that a fresh normal frame is flagged on average.
        upper_limit_95: the rate that is not exceeded in 95% of such calibrations, Beta(n+1-k, k).
    """

    value: float
    n: int
    k: int
    false_alarm_rate: float
    upper_limit_95: float


class ScoreRange(Record):
    """The lowest and highest finite score of the normal frames that the statistics are of, none of the threshold's."""

    low: float
    high: float


class GoodPeriodRecord(Record):
    """A period that an operator declared good as a whole, as the calibration that used it remembers it.

    Attributes:
        station: its name.
        name: the period's name.
        begun: time of day, ISO 8601 with zone.
        ended: end of the period, in the same format.
        frames: number of frames that were stored, by camera.
        bundle: hash of the manifest of the bundle that judged meanwhile.
    """

    station: str
    name: str
    begun: str
    ended: str
    frames: dict[str, int]
    bundle: str


class CalibrationRecord(Record):
    """One calibration: its thresholds and how they came about.

    Attributes:
        created: time of day, ISO 8601 with zone.
        images: where the normal images came from.
        rate_asked: the false-alarm rate asked for; None: the smallest supported one from 1% up.
        steps: K of the search when scoring, exit off.
        search: threshold of the search score.
        encoder: threshold of the encoder score; None without an encoder.
        n_statistics: frames that the pixel statistics were taken from (disjoint from the threshold's).
        statistics_file: safetensors with `pixel_mean` and `pixel_deviation` (H,W), path in the bundle.
        statistics_sha256: its hash.
        fingerprints: fingerprints of all frames used.
        search_range: range of the search score over the statistics' frames; None in records of older versions.
        encoder_range: range of the encoder score over the same frames; None without an encoder.
        tiles_file: safetensors with `tiles` (T,h,w,C) uint8, a part of the frames as the graphs take them, which
            verification compares backends on; None in records of older versions.
        tiles_sha256: its hash.
        start_scores: the finite ones of the threshold's frames at the encoder's start, which drift is told from; the
            statistics' frames are left out, since a score that needs their statistics fits them better than others.
            None without an encoder and in records of older versions.
        encoder_scores: the same for the encoder's score.
        good_period: what a station recorded of the images; None where they are from elsewhere.
    """

    created: str
    images: str
    rate_asked: float | None
    steps: Annotated[int, Field(ge=1, le=1_000_000)]
    search: Threshold
    encoder: Threshold | None
    n_statistics: int
    statistics_file: str
    statistics_sha256: str
    fingerprints: list[str]
    search_range: ScoreRange | None = None
    encoder_range: ScoreRange | None = None
    tiles_file: str | None = None
    tiles_sha256: str | None = None
    start_scores: list[float] | None = None
    encoder_scores: list[float] | None = None
    good_period: GoodPeriodRecord | None = None


class Calibrations(Record):
    """`calibration.json`; the newest entry, the last, is in force."""

    schema_version: int = CALIBRATION_SCHEMA_VERSION
    entries: list[CalibrationRecord]
