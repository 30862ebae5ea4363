"""Videos that are written: `.mkv`, `.mp4`, `.y4m`, folders of PNG images, and their tracks."""
