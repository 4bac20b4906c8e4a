"""A real Postgres and a real Kafka on this machine, from wheels and pinned jars: no Docker, no Java on PATH."""
