"""Ranking of backbones in words, for the terminal and for the report of a run on a cluster."""

from collections.abc import Sequence

from headstart.components.core.artifacts.backbone_ranking import RankedBackbone, Ranking


def ranking_titles() -> Sequence[str]:
    """Titles of the columns of `describe_backbone`."""
    return (
        "backbone",
        "log loss",
        "minus the best's",
        "accuracy",
        "minus the best's",
        "parameters",
        "images/s",
        "time",
    )


def describe_backbone(backbone: RankedBackbone) -> Sequence[str]:
    """Figures of a backbone, a cell each."""
    is_best = backbone.log_loss_difference is None
    return (
        backbone.name,
        f"{backbone.log_loss:.4f}",
        "best" if is_best else _difference(backbone.log_loss_difference, backbone.log_loss_interval),
        f"{backbone.accuracy:.4f}",
        _difference(backbone.accuracy_difference, backbone.accuracy_interval),
        f"{backbone.parameters / 1e6:.1f} M",
        f"{backbone.images_per_second:,.0f}",
        f"{backbone.seconds:.0f} s",
    )


def conclude(ranking: Ranking) -> list[str]:
    """Sentences on a ranking: its images, which backbones cannot be told apart, and which one to take."""
    best, *others = ranking.backbones
    alike = [each.name for each in others if each.may_be_best]
    worse = [each.name for each in others if not each.may_be_best]
    part = "all" if ranking.images == ranking.available else f"{ranking.images:,} of"
    lines = [
        f"on {part} {ranking.available:,} training and validation images, predicted out of fold; 95 % intervals",
        f"{best.name} has the lowest log loss",
    ]
    if worse:
        lines.append(f"shown to be worse: {', '.join(worse)}")
    if alike:
        lines.append(
            f"cannot be told apart from it: {', '.join(alike)}; the smallest of these is {ranking.chosen}, take that"
        )
    lines.append(
        "the features of a run with these options are in the cache now"
        if ranking.kept
        else "the features of a run with these options are not in the cache; it computes them anew"
    )
    return lines


def _difference(value: float | None, interval: tuple[float, float] | None) -> str:
    return f"{value:+.4f} ({interval[0]:+.4f} to {interval[1]:+.4f})" if value is not None and interval else ""
