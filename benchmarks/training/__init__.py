"""Training of the weights that are shipped with nvcodec.

    python -m benchmarks.training.tokenizer           Train the shared tokenizer.
    python -m benchmarks.training.context_networks    Train the context networks of `latentgrid`.
    python -m benchmarks.training.context_annex       Write these networks' annex of the bitstream.

The context networks are part of the bitstream: train them only for a release that changes it.
"""
