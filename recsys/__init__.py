"""The domain: what a recommendation is. Numpy in, numpy out; no network, clock or hidden chance."""
