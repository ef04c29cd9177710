"""Stand-ins for phones and libraries, laws of simulated units, and made-up tables: for tests and benchmarks."""
