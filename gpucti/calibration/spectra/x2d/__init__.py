"""CalSTIS's rectified spectra (cs7)."""
