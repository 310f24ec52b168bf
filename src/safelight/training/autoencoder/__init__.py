"""Training of the autoencoder: pictures to latents and back."""
