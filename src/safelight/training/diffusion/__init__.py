"""Training of the noise predictor, from whatever it is shown."""
