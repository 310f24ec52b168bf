"""Collections of captioned pictures: where they lie, what is read of them, and what may be wrong with them."""
