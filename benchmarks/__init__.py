"""Measurements: what modeldrop and the local cloud cost, and how the judge compares."""
