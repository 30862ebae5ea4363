"""Tokens of the shared tokenizer: size, speed, stability and meaning.

    python -m benchmarks.tokens.read_speed       Reading tokens, against decoding and tokenising.
    python -m benchmarks.tokens.rate_overhead    What tokens in a file cost its pictures.
    python -m benchmarks.tokens.real_clips       Stability, bits and use of tokens on real clips.
    python -m benchmarks.tokens.shared_space     Whether tokens mean the same in all videos.
    python -m benchmarks.tokens.qa               Questions answered by a model that reads tokens.
    python -m benchmarks.tokens.qa_figure        The figure of those answers.

Modules of `shared_space`:
    linear_probe    Linear probes, and latents of a network fitted to one video.
    retrieval       Retrieval of the second half of a video by its first half.

Modules of `qa`:
    questions                 Questions, and clips of which the answers are known.
    vector_sources            Ways to describe a clip by vectors: tokens, pixels, latents.
    clip_vectors              Clips as vectors, drawn or read from a cache.
    prompts                   The text around the vectors.
    language_model_readers    The frozen language model and a small network as its baseline.
    reader_accuracy           Accuracy of a reader, and its controls.
    word_alignment            First stage of training a projector.
"""
