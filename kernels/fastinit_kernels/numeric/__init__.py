"""Arithmetic on single numbers, in any order the same bits: what a kernel on any device is made of."""
