"""Networks sent through the kernels, one or many, and what is said of them."""
