"""Tests; `support` holds the stand-ins and laws that benchmarks use, too."""
