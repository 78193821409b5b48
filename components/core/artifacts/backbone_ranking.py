"""Ranking of backbones: the figures of each, and which one to take."""

import dataclasses
from pathlib import Path

from headstart.components.core.storage.atomic import write_json
from headstart.components.core.util.errors import HeadstartError

RANKING_FORMAT = "headstart-backbone-ranking/1"


@dataclasses.dataclass(frozen=True)
class RankedBackbone:
    """A backbone and how it compares with the best.

    Attributes:
        name: Name of the backbone, as the user gave it, without secrets.
        log_loss: Mean cross-entropy of its predictions, in nats.
        accuracy: Share of its predictions that are right.
        parameters: Number of its weights.
        images_per_second: Images per second of a forward pass.
        seconds: Duration of its assessment in seconds.
        log_loss_difference: Its log loss minus that of the best; None: it is the best.
        log_loss_interval: 95 % confidence interval of that, paired.
        accuracy_difference: Its accuracy minus that of the best; None: it is the best.
        accuracy_interval: 95 % confidence interval of that, paired.
    """

    name: str
    log_loss: float
    accuracy: float
    parameters: int
    images_per_second: float
    seconds: float
    log_loss_difference: float | None = None
    log_loss_interval: tuple[float, float] | None = None
    accuracy_difference: float | None = None
    accuracy_interval: tuple[float, float] | None = None

    @property
    def may_be_best(self) -> bool:
        """Whether it is the best, or its log loss cannot be told from that of the best."""
        return self.log_loss_interval is None or self.log_loss_interval[0] <= 0


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Ranking of backbones.

    Attributes:
        backbones: The backbones by log loss, the best first.
        images: Number of images that they were assessed on.
        available: Number of training and validation images.
        kept: Whether the features that a run needs are kept now, in the cache or at `record_uri`.
    """

    backbones: list[RankedBackbone]
    images: int
    available: int
    kept: bool

    @property
    def chosen(self) -> str:
        """Name of the backbone to take: the smallest of those that may be the best."""
        return min((each for each in self.backbones if each.may_be_best), key=lambda each: each.parameters).name


def check_backbone_names(names: list[str]) -> None:
    """Checks that there is something to choose from.

    Raises:
        HeadstartError: If there are fewer than two backbones, or one is there twice.
    """
    if len(set(names)) < 2 or len(set(names)) < len(names):
        text = ",".join(names)
        raise HeadstartError(f"backbones {text!r}: name two or more, each once, such as mobilenet_v2,resnet50")


def write_ranking(path: Path, ranking: Ranking) -> None:
    """Writes a ranking as JSON, with the backbone to take."""
    write_json(path, {"format": RANKING_FORMAT, **dataclasses.asdict(ranking), "chosen": ranking.chosen})
