"""Training of a classifier of concepts and styles: the judge of what a model draws."""
