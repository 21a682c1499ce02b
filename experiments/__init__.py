"""Experiments: one absl script a question."""
