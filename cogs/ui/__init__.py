"""What commands show and share: no commands of its own."""
