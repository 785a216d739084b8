"""Release record, phases, lease, outcome."""
