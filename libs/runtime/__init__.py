"""What every service process is made of: settings, logs, health, metrics, roles, migrations, start and stop."""
