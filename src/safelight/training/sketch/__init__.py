"""The text encoder learns to foretell the picture, before a UNet learns to read it."""
