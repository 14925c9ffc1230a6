"""What dies when, and what is still there: the long proofs of the receiver and its spool."""
