"""CalSTIS's basic two-dimensional reduction (cs1), one module per step."""
