"""What `import headstart` offers to notebooks and scripts: training, checks of data, evaluation, predictions."""
