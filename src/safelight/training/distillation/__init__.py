"""Teaching a model to draw in a few steps what it drew in many."""
