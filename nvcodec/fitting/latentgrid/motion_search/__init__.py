"""Search for the motion of a frame: block matching, the quadtree, and refinement with overlap."""
