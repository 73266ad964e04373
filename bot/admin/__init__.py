"""What admins may change in their server, and the operator everywhere."""
