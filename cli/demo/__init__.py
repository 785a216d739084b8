"""The demo: six drops on a local cloud of its own, with users on the endpoint all the time."""
