"""Register a trained model, and be the one way to the model registry for the other components."""
