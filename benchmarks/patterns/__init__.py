"""One file per thing that is measured; the list of them is in `benchmarks.catalogue`."""
