"""Speed and memory.

python -m benchmarks.speed.expectations         Time and memory of an encode at three sizes.
python -m benchmarks.speed.fit                  Fitting HNeRV, against eager torch.
python -m benchmarks.speed.decode               Decoding HNeRV, against eager torch.
python -m benchmarks.speed.random_access        Fetching random frames, against x264.
python -m benchmarks.speed.memory               Peak memory of a long video and a short one.
python -m benchmarks.speed.busy                 Encoding beside a busy process, and with two workers.
python -m benchmarks.speed.latentgrid_decode    Decoding `latentgrid`; share of entropy coding.
python -m benchmarks.speed.nirvana_vs_nerv      NIRVANA and NeRV: PSNR over encoding time.
python -m benchmarks.speed.nirvana_decode       Decoding NIRVANA and NeRV at equal PSNR.
python -m benchmarks.speed.nirvana_batch        NIRVANA's groups fitted at once or one by one.
python -m benchmarks.speed.fused_mlp            TFLOP/s of every backend of fused MLPs.
"""
