"""The process between the bot and a cluster of Ray's, and what it runs on the nodes."""
