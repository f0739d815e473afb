"""The host's end of the link: framing, the client, and the reference model behind ``model://``."""
