"""Pictures of images and spectra."""
