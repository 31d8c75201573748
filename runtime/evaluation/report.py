"""index.html: first screen, sections, pictures, and how the figures were made.

html = build_report(evaluated, metrics, pictures_section(evaluated, readout))
"""

import math
from collections.abc import Mapping
from typing import Any

from ganspect.runtime.evaluation.cases import OpenedCase, choose_cases, common_heat_scale, draw_case, open_case
from ganspect.runtime.evaluation.evaluated import Evaluated
from ganspect.runtime.evaluation.findings import cards_of, headline_of
from ganspect.runtime.evaluation.page import Case, Gallery, Page, Section, render
from ganspect.runtime.evaluation.readout import Readout
from ganspect.runtime.evaluation.sections import CLOSING_SECTIONS, SECTIONS


def build_report(evaluated: Evaluated, metrics: Mapping[str, Any], pictures: Section) -> str:
    """Return the page.

    Args:
        evaluated: what was measured.
        metrics: the same as metrics.json has it.
        pictures: from `pictures_section`.
    """
    counts, bundle, protocol = metrics["counts"], metrics["bundle"], metrics["protocol"]
    before = [build(evaluated, metrics) for build in SECTIONS]
    after = [build(evaluated, metrics) for build in CLOSING_SECTIONS]
    headline, tone = headline_of(metrics)
    height, width = bundle["size_hw"]
    page = Page(
        title=f"Evaluation of {bundle['folder']} on {protocol['data']}",
        subtitle=f"{bundle['system']}, {height}x{width} pixels, {protocol['mode']} mode; tested on "
        f"{counts['normal']} normal and {counts['anomalous']} anomalous images that it has never seen",
        headline=headline,
        tone=tone,
        warnings=tuple(f"Training: {warning}." for warning in bundle["health"]["warnings"]),
        cards=cards_of(metrics),
        sections=tuple(section for section in [*before, pictures, *after] if section is not None),
        footer=f"ganspect {metrics['environment']['ganspect']}; the same figures are in metrics.json, each image's in "
        "scores.csv.",
    )
    return render(page)


def pictures_section(evaluated: Evaluated, readout: Readout) -> Section:
    """Draw the clearest and the hardest images of either class, their residuals on one scale."""
    groups = choose_cases(evaluated)
    cases = {index: open_case(evaluated, index, readout) for group in groups for index in group.indices}
    heat_scale = common_heat_scale(cases.values())
    galleries = tuple(
        Gallery(group.title, tuple(_case(evaluated, index, cases[index], heat_scale) for index in group.indices))
        for group in groups
    )
    return Section(
        "The hardest and the clearest images",
        "What the model saw, the nearest image that its generator knows, and the difference: black is none, yellow "
        f"{_residual_of(evaluated, heat_scale)} or more, the same for all.",
        galleries=galleries,
    )


def _residual_of(evaluated: Evaluated, heat_scale: float) -> str:
    if evaluated.bundle.manifest.scores.weighing:
        return f"a residual of {heat_scale:.1f} deviations of normal images"
    return f"a residual of {heat_scale:.2f} on a scale of 0 to 1"


def _case(evaluated: Evaluated, index: int, opened: OpenedCase, heat_scale: float) -> Case:
    sample, pictures = evaluated.images.samples[index], draw_case(opened, heat_scale)
    anomalous = bool(evaluated.screened.anomalous[index])
    return Case(
        image=pictures.image,
        reconstruction=pictures.reconstruction,
        residual=pictures.residual,
        name=sample.name,
        verdict=_verdict(sample.label, anomalous),
        right=anomalous == (sample.label == 1),
        detail=f"{sample.kind} · score {evaluated.shown_score[index]:.4g}{_beside_threshold(evaluated, index)}",
    )


def _verdict(label: int, anomalous: bool) -> str:
    if label == 1:
        return "found" if anomalous else "missed"
    return "false alarm" if anomalous else "passed"


def _beside_threshold(evaluated: Evaluated, index: int) -> str:
    threshold = evaluated.threshold
    if threshold is None:
        return ""
    if evaluated.bundle.manifest.scores.scale != "none":
        return f", threshold {evaluated.scales[evaluated.mode].of(threshold.value):.4g}"  # 0 is no zero point there
    score = evaluated.score[index]
    return f", {score / threshold.value:.2f} of the threshold" if threshold.value > 0 and math.isfinite(score) else ""
