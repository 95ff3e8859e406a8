"""The trap model: the PCTETAB reference table, and the levels and profiles made of it."""
