"""The mathematics of diffusion: schedule, grids, denoiser, guidance, noise, samplers. Knows nothing of networks."""
