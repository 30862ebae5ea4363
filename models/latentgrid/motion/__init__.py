"""Motion of `latentgrid`: blocks of many sizes, their prediction with overlap, and its candidates."""
