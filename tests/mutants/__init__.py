"""Mutants of the core, to see whether a test notices when the program does something else."""
