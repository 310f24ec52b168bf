"""How good pictures are: fidelity, agreement with the prompt, variety, and whether they are copies."""
