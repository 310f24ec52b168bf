"""The decoder of a whole model learns on, while its latents stay as they are."""
