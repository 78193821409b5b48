"""Training jobs: batches, optimizers, callbacks, checkpoints."""
