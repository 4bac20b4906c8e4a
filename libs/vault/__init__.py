"""Sealed personal data: only the master key opens it, and only until its data key is destroyed."""

from libs.vault.vault import Forgotten, Vault, VaultAway, create_vault

__all__ = ["Forgotten", "Vault", "VaultAway", "create_vault"]
