"""tf.data as this package uses it."""

import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same dataset, which TensorFlow does not tune while it runs; how far it reads ahead has to be said.

    At the end of each pass TensorFlow (2.21) waits for the thread that tunes. Told to end, that thread looks whether
    it was before this is so, and sleeps on to the end of its period, which doubles from 10 ms up to a minute: seconds
    of every epoch in which nothing is computed. See benchmarks/tuned_inputs.py.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
