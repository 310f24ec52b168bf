"""Training of every part: data, one loss file per network, one loop for all, checkpoints, recipes."""
