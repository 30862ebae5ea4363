"""Weights of the default context networks, as made by `benchmarks/training/context_networks.py`.

Each kind of plane has int8 numbers in hexadecimal: hidden, linear and output weights, then biases
by band and channel for planes of `SCALES` wavelet scales. Part of the bitstream.
"""

SCALES = {"LUMA": 5, "CHROMA": 4}

WEIGHTS = {
    "LUMA": (
        "06e607bffff9ecf5f0f3f4fe00faff040beafc1822d7f8f3eb17031bf9f824be19150e06fd01fe01"
        "f6fdf5f0f1f7f4f7b91d030005f2fcfaf9f0efeb14f008efcfec2a11dadadd81f346e0f9a12dfa01"
        "32d920160ee4dc9cdeb8010d4013edf305fd0afeeb0ef9fef7fedd00f1f7fbfcfb0607fed89eeae8"
        "2101f30015ef0d2305fd050205fc0306fafe02fb00020306ffff0006fc00faff0602fe060106faff"
        "0403ff00ff00fc04fbfffd0303030606fcfbfb030606020605fafb05fb060406e7e5dd03f71e251c"
        "d9f9f9e0f616e5baf0f9fbfaccecdd0f00ef03f9fc08c9db070401fc08f5030109fc03fe0204fffa"
        "060506faf109dafdf5fde40503e7034f080402fbf6faf8f816000703fdf80507e716f9fefb1f06ff"
        "fee6f81cfe07efcb1917fcf802e502f11d101f1ad8bdf90c09f8000301040700fcf3f8dc01ef03ca"
        "0cfe0602131105020304fafe0bfb0004020004010508fa0508f6f7f7f705f5f904060a4b350605fb"
        "0a09fd090bff0e0e030d05fb"
    ),
    "CHROMA": (
        "f6fa35060af7f103fc0c00030109fc030ff1e40805ef16e0f114fcf0dbfa1dbc040e04f804faf807"
        "fef40100f4f9f1fb0b1cf9f903f006f5ddfbfdf3fb00f5fcbcfaf51214d8f2e1bbff1315f4f026fc"
        "22e6060215e2eddfb5f4000af0f80800ff05fa0107effef3fa0405fdf601e90108f408ed08e5fecf"
        "f4fdffff1bffe6011003fffb08f7f6f8ff002de6f30c06f709ff0001030bdef8070ddd11e9f6fa11"
        "eb07f70f2aeac30bedfed5e8e82e1505f4fafbf803030317eefafe03f6f5e9faeaec0308e415141a"
        "15ec16f8f0fc08e1ebfefe0ef1fe02ef07d902f8ff04fcd203070000040b0bffff03fcedfc1709fc"
        "0ffa03c9ff07090df3fa050dfcf6f614020006fb030401fffafefe040efff9fff50f05effc0afc11"
        "edd900e201fefce1fc0dfa02effa00edfa0c01ff1cf5e21602f500f9fff4010b03fefef903fcfbd9"
        "020205040c0d0307030020fe03fdff0502feff02070a0906f8f9f6f7f7090b0aed070725100a0402"
        "fefafffd0a08050204020a08070508070102fefdf2ef"
    ),
}
