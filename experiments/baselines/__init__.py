"""Models that networks are compared with: one file each."""
