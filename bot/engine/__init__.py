"""The engines that make the sound, and the child process that they run in."""
