from support.rankings import assessed

from headstart.components.core.artifacts.backbone_ranking import Ranking
from headstart.components.core.metrics.backbone_ranking import rank_backbones


def test_of_those_that_cannot_be_told_apart_the_smallest_is_taken() -> None:
    large, small, bad = assessed("large", 30, 20, 1), assessed("small", 10, 22, 2), assessed("bad", 1, 90, 3)
    ranked = rank_backbones([bad, small, large])
    assert [each.name for each in ranked] == ["large", "small", "bad"]
    assert [each.accuracy for each in ranked] == [0.95, 0.945, 0.775]
    assert [each.may_be_best for each in ranked] == [True, True, False]
    assert ranked[0].log_loss_difference is None and ranked[0].accuracy_interval is None
    interval, difference = ranked[2].log_loss_interval, ranked[2].log_loss_difference
    assert interval and difference and 0 < interval[0] < difference < interval[1]
    assert Ranking(ranked, 400, 400, False).chosen == "small"


def test_a_backbone_that_is_shown_to_be_worse_is_not_taken_for_its_size() -> None:
    ranked = rank_backbones([assessed("large", 30, 10, 1), assessed("small", 10, 60, 2)])
    assert Ranking(ranked, 400, 400, False).chosen == "large"
