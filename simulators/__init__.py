"""Doubles of the platforms: standalone programs that share no code with the connectors."""
