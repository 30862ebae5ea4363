"""Procedural pictures, scenes and videos with known contents. No commands.

pictures    Photographs, textures, emoji and shapes that scenes are made of.
scenes      Layers that move in known ways, drawn as video with its motion.
videos      Random scenes for training the tokenizer and for probes.
"""
