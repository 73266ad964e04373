"""What the bot knows of Discord apart from its commands: failures, permissions, the invite link."""
