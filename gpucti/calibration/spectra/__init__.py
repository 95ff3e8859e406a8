"""Spectra of the CCD's first-order gratings: wavelength calibration, rectification, extraction."""
