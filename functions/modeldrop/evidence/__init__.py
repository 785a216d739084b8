"""The evidence card: text, HTML, JSON."""
