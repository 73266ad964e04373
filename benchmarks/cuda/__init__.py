"""What an NVIDIA GPU makes of the engine: whether it is right there, how fast, and in what memory.

`python -m benchmarks cuda` needs a GPU and what MusicGen needs, neither weights nor a network. Each
section is a room of its own here; `running` goes through them, and `stage` is what they share.
"""
