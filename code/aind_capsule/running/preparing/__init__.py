"""What is decided about a run before its processing starts."""
