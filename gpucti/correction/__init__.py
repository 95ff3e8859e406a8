"""The pixel-based correction: arrays, exposures and files in; the same corrected out."""
