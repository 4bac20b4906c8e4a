"""The own channel: a mini-program, or anything else that can call a signed webhook."""
