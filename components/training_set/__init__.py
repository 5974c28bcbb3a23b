"""Training sets: manifest, members, and labels that a model has not learned."""
