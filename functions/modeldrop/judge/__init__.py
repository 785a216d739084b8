"""Blue against green: counts in, verdict out."""
