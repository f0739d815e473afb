"""pyserial's door to the post-route simulation: ``postroute://``."""
