"""A witness: a voter that keeps log and vote, but no state, so that two nodes with the data survive the loss of one."""
