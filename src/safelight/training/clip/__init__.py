"""Training of CLIP: which captions belong to which pictures."""
