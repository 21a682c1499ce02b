"""What the experiments share: runner, run folder, flags, records, tables, networks by name."""
