"""CalSTIS's rejection of cosmic rays (cs2)."""
