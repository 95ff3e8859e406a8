"""CalSTIS's extracted spectra (cs6)."""
