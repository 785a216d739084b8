"""The `modeldrop` command."""
