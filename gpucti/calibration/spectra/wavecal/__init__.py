"""CalSTIS's wavelength calibration (cs4): shifts from lamp exposures, and their subtraction (cs12)."""
