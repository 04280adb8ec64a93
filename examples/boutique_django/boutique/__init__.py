"""Le projet : ses réglages et ses routes."""
