"""What a step reads of the release table, and that it does not grow with the records."""
