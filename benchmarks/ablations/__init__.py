"""Ablations: the worth of single parts of the models; and restoration and interpolation.

    python -m benchmarks.ablations.latentgrid            BD-rate of `latentgrid` without each part.
    python -m benchmarks.ablations.ngp                   PSNR of `ngp` with each choice changed.
    python -m benchmarks.ablations.predicted_segments    Bytes saved by predicting segments.
    python -m benchmarks.ablations.nirvana_motion        Bytes of NIRVANA over the speed of motion.
    python -m benchmarks.ablations.interpolation         Frames in between, and twice the size.
    python -m benchmarks.ablations.restoration           Inpainting and denoising by the fit.

The inputs, baselines and figure of the last one are `restoration_tasks`, `classical_restoration` and
`restoration_figure`.
"""
