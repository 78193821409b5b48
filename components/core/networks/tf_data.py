"""Settings of tf.data."""

import tensorflow as tf

_BATCHES = 2


def prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Prepares two batches ahead while the network computes, with autotuning disabled.

    With autotuning, TensorFlow (2.21) waits at the end of each pass for the tuning thread. That thread sleeps to the
    end of its period, which doubles from 10 ms up to a minute: seconds of every epoch in which nothing is computed.
    See benchmarks/tuned_inputs.py.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(_BATCHES).with_options(options)
