"""One folder a channel: signing, inbound, client, mapping, capabilities; each translates a platform into our words."""
