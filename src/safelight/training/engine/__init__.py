"""The one loop that every kind of training turns, and all that makes it exact: samples, noise, checkpoints, logs."""
