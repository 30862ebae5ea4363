"""The process that nvcodec runs in: settings of its libraries, its forks and its children."""
