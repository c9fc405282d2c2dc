"""Version 1 of the wire schema. Generated: change the `.proto` files and run `make protos`."""
