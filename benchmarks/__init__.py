"""Measurements of nvcodec, run from the repository root as `python -m benchmarks.FOLDER.NAME`.

Each script writes one JSON file to `benchmarks/results/`. `python -m benchmarks.harness.tables`
fills the tables and the numbers of the documents from those files.

    demo            A first look: one clip by nvcodec and by x264 at equal bytes (`make demo`).
    rd/             Rate-distortion curves against x264, x265 and SVT-AV1.
    speed/          Speed and memory of fitting, encoding, decoding and random access.
    ablations/      The worth of single parts of the models; restoration and interpolation.
    reproduction/   Published results, fitted again with this code.
    tokens/         Tokens of the shared tokenizer: size, speed, stability and meaning.
    training/       Training of the weights that are shipped with nvcodec.
    procedural/     Procedural video with known contents, for training and for questions.
    harness/        What the scripts share: clips, anchors, records, timing and tables.
    results/        One JSON file per measurement, with its commit, command and machine.

The docstring of each folder's `__init__.py` lists its commands.
"""
