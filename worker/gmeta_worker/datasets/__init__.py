"""Public and generated data sets for a first run: what `gmeta fetch` writes."""
