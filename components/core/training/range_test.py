"""The learning-rate range test: a short training whose learning rate grows from step to step."""

import math

import keras

from headstart.components.core.artifacts.history import Step
from headstart.components.core.features.compute import Features
from headstart.components.core.networks.precision import use_precision
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.batches import TrainingBatches, stream
from headstart.components.core.training.best_epoch import assign, values_of
from headstart.components.core.training.class_weights import class_weights
from headstart.components.core.training.fit import compile_classifier
from headstart.components.core.training.optimizers import build_optimizer
from headstart.components.core.training.precision import training_precision
from headstart.components.core.training.resume import changing
from headstart.components.core.training.step_history import Steps
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import log_progress

LOWEST, HIGHEST = 1e-7, 10.0
"""Learning rates that the test goes from and to."""

_MEMORY = 0.9
_DIVERGED = 4.0
_PROGRESS = 10


def range_test(tail: keras.Model, train: Features, plan: Plan, steps: int = 100) -> list[tuple[Step, Step]]:
    """Trains with rates that grow exponentially from `LOWEST` to `HIGHEST`, and leaves the weights as they were.

    The test is that of L. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv:1506.01186,
    section 3.3, with the range, the growth and the end of fastai's `lr_find`. All but the rate is as in `fit`. What a
    batch costs differs more from batch to batch than what a few steps change, so each is also passed at a rate of 0.

    Args:
        tail: Activations to the classifier's output; what is trainable in it is trained.
        train: Images to learn from.
        plan: How to train.
        steps: At most, two at least.

    Returns:
        Each step at a rate of 0, and as it was, up to where the average loss is 4 times the least before and worse
        than guessing, or not finite.

    Raises:
        HeadstartError: The loss is not finite before there are two.
    """
    keras.utils.set_random_seed(plan.seed)
    training = plan.training.model_copy(update={"epochs": 1, "steps_per_epoch": steps})
    weights = class_weights(training, train.labels)
    batches = TrainingBatches(train, training, tail.output.shape[-1], plan.seed, weights)
    variables = changing(tail)
    before = values_of(variables)
    growth = keras.optimizers.schedules.ExponentialDecay(LOWEST, steps - 1, HIGHEST / LOWEST)
    made = []
    with use_precision(tail, training_precision(tail, plan, batches)):
        for what, schedule in (("at a rate of 0", 0.0), ("at growing rates", growth)):
            noted = Steps(schedule, steps, batches)
            compile_classifier(tail, build_optimizer(training, steps, schedule))
            tail.fit(
                stream(batches),
                callbacks=[noted, _Divergence(noted, math.log(max(2, tail.output.shape[-1])), what, steps)],
                shuffle=False,
                verbose=0,
            )
            assign(variables, before)
            made.append(noted.made)
    found = [pair for pair in zip(*made, strict=False) if math.isfinite(pair[1].loss)]
    if len(found) < 2:
        raise HeadstartError(f"{plan.phase}: the loss is not finite at the lowest rate, {LOWEST:g}; look at the data")
    return found


class _Divergence(keras.callbacks.Callback):
    """Stops where the loss, as an exponential moving average without bias, is far above its least and `guessing`."""

    def __init__(self, steps: Steps, guessing: float, what: str, total: int) -> None:
        super().__init__()
        self._steps = steps
        self._what = what
        self._guessing = guessing
        self._total = total
        self._sum = self._weight = 0.0
        self._least = math.inf

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the loss."""
        loss = self._steps.made[-1].loss
        self._sum, self._weight = (
            _MEMORY * old + (1 - _MEMORY) * new for old, new in ((self._sum, loss), (self._weight, 1.0))
        )
        average = self._sum / self._weight
        self._least = min(self._least, average)
        if not average <= max(_DIVERGED * self._least, self._guessing):
            self.model.stop_training = True
        if batch % _PROGRESS == _PROGRESS - 1 or self.model.stop_training or batch == self._total - 1:
            log_progress(self._what, batch + 1, self._total, unit="steps", loss=loss)
