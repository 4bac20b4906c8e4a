"""The seven services under the simulator: their real decisions, their people, and mutants that must not survive."""
