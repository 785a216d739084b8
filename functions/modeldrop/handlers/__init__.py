"""One Lambda a file: parse, read, decide in the core, act, return."""
