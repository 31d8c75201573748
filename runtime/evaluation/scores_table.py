"""scores.csv: one line for each image, for whoever wants to draw or sort them otherwise.

write_atomically(folder / "scores.csv", scores_table(evaluated).encode())
"""

import csv
import io
from collections.abc import Iterator, Mapping

from ganspect.runtime.evaluation.bootstrap import Floats
from ganspect.runtime.evaluation.evaluated import Evaluated


def scores_table(evaluated: Evaluated) -> str:
    """Return the table as CSV; a score that was not computed is an empty field.

    `score` is the deployed mode's with exit off, `verdict` and `steps` are as screened. `score`, `start_score` and
    `encoder_score` are on the scale that the bundle reports; scores by name are raw: `search_NAME` at the search's best
    latent, `last_NAME` at the one after its last step, `start_NAME` at the encoder's.
    """
    columns = _columns(evaluated)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "label", "kind", *columns])
    for index, sample in enumerate(evaluated.images.samples):
        values = ["" if column is None else column[index] for column in columns.values()]
        writer.writerow([sample.name, sample.label, sample.kind, *values])
    return text.getvalue()


def _columns(evaluated: Evaluated) -> dict[str, list[str] | None]:
    full, screened, scales = evaluated.full, evaluated.screened, evaluated.scales
    return {
        "score": _texts(evaluated.shown_score),
        "start_score": _texts(None if full.start is None else scales["search"].of(full.start)),
        "encoder_score": _texts(None if full.encoder is None else scales["encoder"].of(full.encoder)),
        "verdict": list(screened.verdicts),
        "steps": [str(steps) for steps in screened.steps],
        "latency_ms": [f"{latency_ms:.3f}" for latency_ms in screened.latency_ms],
        **dict(_prefixed("search", full.at_search)),
        **dict(_prefixed("last", full.at_last)),
        **dict(_prefixed("start", full.at_start)),
        "pca_worst": _texts(None if evaluated.pca is None else evaluated.pca.usual.worst),
        "pca_mean": _texts(None if evaluated.pca is None else evaluated.pca.usual.mean),
        "mean_intensity": _texts(evaluated.intensity),
    }


def _prefixed(prefix: str, scores: Mapping[str, Floats] | None) -> Iterator[tuple[str, list[str] | None]]:
    for name, score in (scores or {}).items():
        yield f"{prefix}_{name}", _texts(score)


def _texts(score: Floats | None) -> list[str] | None:
    return None if score is None else [f"{value:.9g}" for value in score]
