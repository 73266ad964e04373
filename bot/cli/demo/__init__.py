"""The real bot in SimCord, a simulated Discord: with pages to type in, or headless without one."""
