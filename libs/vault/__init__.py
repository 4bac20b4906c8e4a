"""Sealed personal data: only the master key opens it, and only until its data key is destroyed."""

from libs.vault.vault import KEY_AGE_LIMIT_S, Forgotten, Vault, VaultAway, create_vault

__all__ = ["KEY_AGE_LIMIT_S", "Forgotten", "Vault", "VaultAway", "create_vault"]
