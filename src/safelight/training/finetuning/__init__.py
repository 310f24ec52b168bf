"""Teaching a model that exists something new: all of it, a LoRA, a word, a ControlNet."""
