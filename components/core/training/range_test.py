"""The learning-rate range test: a short training whose learning rate grows from step to step."""

import math

import keras

from headstart.components.core.artifacts.history import Step
from headstart.components.core.features.compute import Features
from headstart.components.core.networks.precision import use_precision
from headstart.components.core.recipes.plan import Plan
from headstart.components.core.training.batches import TrainingBatches, to_tf_dataset
from headstart.components.core.training.class_weights import compute_class_weights
from headstart.components.core.training.fit import compile_classifier
from headstart.components.core.training.optimizers import build_optimizer
from headstart.components.core.training.precision import find_training_precision
from headstart.components.core.training.step_history import StepHistory
from headstart.components.core.training.variables import get_changing_variables, get_values, set_values
from headstart.components.core.util.errors import HeadstartError
from headstart.components.core.util.logs import log_progress

LOWEST_RATE, HIGHEST_RATE = 1e-7, 10.0
"""First and last learning rate of the test."""

_SMOOTHING = 0.9
_DIVERGENCE_FACTOR = 4.0
_STEPS_PER_PROGRESS_LINE = 10


def run_range_test(tail: keras.Model, train: Features, plan: Plan, steps: int = 100) -> list[tuple[Step, Step]]:
    """Trains with a learning rate that grows exponentially from `LOWEST_RATE` to `HIGHEST_RATE`.

    The test is that of L. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv:1506.01186,
    section 3.3, with the range, growth and stopping rule of fastai's `lr_find`. All but the rate is as in `fit`. The
    loss differs more between batches than a few steps change it, so each batch is also passed at a rate of 0.
    Afterwards the weights are restored.

    Args:
        tail: Model from cached features to the classifier's output; its trainable variables are trained.
        train: Cached features of the training set.
        plan: Hyperparameters and seed of this training phase.
        steps: Greatest number of steps, at least 2.

    Returns:
        Pairs of each step at a rate of 0 and at its rate. They end where the average loss is 4 times its minimum and
        worse than guessing, or not finite.

    Raises:
        HeadstartError: If the loss is not finite before the second step.
    """
    keras.utils.set_random_seed(plan.seed)
    training = plan.training.model_copy(update={"epochs": 1, "steps_per_epoch": steps})
    weights = compute_class_weights(training, train.labels)
    batches = TrainingBatches(train, training, tail.output.shape[-1], plan.seed, weights)
    variables = get_changing_variables(tail)
    before = get_values(variables)
    growth = keras.optimizers.schedules.ExponentialDecay(LOWEST_RATE, steps - 1, HIGHEST_RATE / LOWEST_RATE)
    runs = []
    with use_precision(tail, find_training_precision(tail, plan, batches)):
        for name, schedule in (("at a rate of 0", 0.0), ("at growing rates", growth)):
            history = StepHistory(schedule, steps, batches)
            compile_classifier(tail, build_optimizer(training, steps, schedule))
            tail.fit(
                to_tf_dataset(batches),
                callbacks=[history, _Divergence(history, math.log(max(2, tail.output.shape[-1])), name, steps)],
                shuffle=False,
                verbose=0,
            )
            set_values(variables, before)
            runs.append(history.steps)
    finite = [pair for pair in zip(*runs, strict=False) if math.isfinite(pair[1].loss)]
    if len(finite) < 2:
        raise HeadstartError(
            f"{plan.phase}: the loss is not finite at the lowest rate, {LOWEST_RATE:g}; look at the data"
        )
    return finite


class _Divergence(keras.callbacks.Callback):
    """Stops where the average loss is far above its minimum and above that of guessing.

    The average is an exponential moving one, corrected for its start at 0.
    """

    def __init__(self, history: StepHistory, guessing: float, name: str, total: int) -> None:
        super().__init__()
        self._history = history
        self._name = name
        self._guessing = guessing
        self._total = total
        self._sum = self._weight = 0.0
        self._lowest = math.inf

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stops on divergence, and logs progress."""
        loss = self._history.steps[-1].loss
        self._sum, self._weight = (
            _SMOOTHING * old + (1 - _SMOOTHING) * new for old, new in ((self._sum, loss), (self._weight, 1.0))
        )
        average = self._sum / self._weight
        self._lowest = min(self._lowest, average)
        if not average <= max(_DIVERGENCE_FACTOR * self._lowest, self._guessing):
            self.model.stop_training = True
        done = batch + 1
        if done % _STEPS_PER_PROGRESS_LINE == 0 or done == self._total or self.model.stop_training:
            log_progress(self._name, done, self._total, unit="steps", loss=loss)
