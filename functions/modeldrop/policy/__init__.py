"""rollout.yaml: schema, defaults, limits."""
