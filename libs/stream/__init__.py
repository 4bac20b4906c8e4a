"""The stream protocol: every message decided once, every decision published once, whatever dies in between."""
