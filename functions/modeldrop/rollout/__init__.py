"""Plan, endpoint config, deployment config, alarms and their lint, autoscaling."""
