"""Register a trained model as a new version, and promote it if the gate decided so."""
