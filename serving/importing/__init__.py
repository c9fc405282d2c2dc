"""Files of a shop become records of the log; what cannot be used is written beside them."""
