"""FSQ indices of video tokens: context modelling, probability tables and entropy coding."""
