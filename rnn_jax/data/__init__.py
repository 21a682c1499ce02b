"""Real data to arrays."""
