"""Published results, fitted again with this code.

    python -m benchmarks.reproduction.papers             PSNR of the published networks on Bunny.
    python -m benchmarks.reproduction.quantisation       Cost of quantising HNeRV, in dB and bits.
    python -m benchmarks.reproduction.hnerv_reference    Encode a video by the authors' recipe.

`published_psnr` holds the figures of the papers, `hnerv_quantisation` the authors' quantisation.
"""
