"""Speaking to platforms: fetching, pulling, listening and refreshing, whatever the platform and whoever keeps it."""
