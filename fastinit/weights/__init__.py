"""What a scheme makes of a shape: fans, laws, streams, and the tensors themselves."""
