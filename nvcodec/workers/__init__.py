"""Where segments are fitted: jobs, and worker pools in this process, in others and on Ray."""
