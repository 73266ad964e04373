"""MusicGen: audiocraft's weights and codec, our own token loop."""
