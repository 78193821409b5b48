"""Running on this machine, with kfp's local runner."""
