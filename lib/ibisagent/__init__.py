"""An agent that segments medical images by looking, thinking aloud and clicking."""

__version__ = "0.1.0"
