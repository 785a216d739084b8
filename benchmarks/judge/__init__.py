"""The judge against what people use: the same simulated rollouts for every method."""
