"""One small adapter per library that is measured; the list of them is in `benchmarks.catalogue`."""
