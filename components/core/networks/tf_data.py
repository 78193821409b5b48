"""tf.data as this package uses it."""

import tensorflow as tf

_BATCHES = 2


def prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The same batches, two of which are made ready while the network works; nothing tunes itself.

    At the end of each pass TensorFlow (2.21) would wait for the thread that tunes. Told to end, that thread looks
    whether it was before this is so, and sleeps on to the end of its period, which doubles from 10 ms up to a minute:
    seconds of every epoch in which nothing is computed. See benchmarks/tuned_inputs.py.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(_BATCHES).with_options(options)
