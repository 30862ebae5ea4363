"""The rate-distortion benchmark: models and presets against x264, x265 and SVT-AV1.

    python -m benchmarks.rd    Encode and measure every point; write JSON, a figure and a page.

Modules, in the order of a run:
    suites           The clips, their rates, and their frames as lossless files.
    plan             The points that a run needs.
    points           One point: its command line and the key it is stored under.
    store            Encodes, measures and keeps points.
    runner           Makes the points of a run, clip by clip.
    curves           BD-rates and their tables.
    figures          The curves as a picture.
    viewer_frames    Frames for the viewer of the page.
    page             The HTML page.
"""
