"""Version of nvcodec, which every module can read without importing the package itself."""

__version__ = "0.1.0"
