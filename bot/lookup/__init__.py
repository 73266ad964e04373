"""What people may look up: it only reads."""
