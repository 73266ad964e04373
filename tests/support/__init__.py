"""What the tests stand on and is no test itself."""
