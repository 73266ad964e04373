"""The files that an engine writes, and what is made of them."""
