"""What may be wrong with a collection: looked at picture by picture, compared, and told by cause."""
