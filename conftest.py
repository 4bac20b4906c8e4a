"""Every test folder finds the servers' fixtures here."""

pytest_plugins = ["libs.testkit.fixtures"]
