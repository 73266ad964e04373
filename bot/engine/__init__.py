"""What makes the sound: the engines, and the child process that they run in."""
