"""Parts that several networks use: attention, residual blocks, embeddings, resampling."""
