"""Videos that are read: files, folders of images, masks, their properties and their clocks."""
