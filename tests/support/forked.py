"""Processes that have imported TensorFlow, and computed nothing."""

import multiprocessing

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["keras", "headstart.components.core.training.fit"])
