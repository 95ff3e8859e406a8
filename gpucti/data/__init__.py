"""The packaged PCTETAB, as readable figures."""
