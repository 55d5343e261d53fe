"""Files of examples, one module for each kind of example."""
