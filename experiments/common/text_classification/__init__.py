"""What the experiments share that classify texts: reading, networks by name, training, opponents, figures."""
