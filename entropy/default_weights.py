"""Weights of the default context networks: int8 in hexadecimal, made by `benchmarks/contexts.py`.

Of every kind hidden, linear and output weights, then biases by band and channel, for grids of
`SCALES` scales. Part of the bitstream.
"""

SCALES = {"MOTION": 3, "LUMA": 5, "CHROMA": 4}

WEIGHTS = {
    "MOTION": (
        "06d7fe021606ff080bfd05f9d7fc09de16f7ee12100c1008040903fda1db11fef0070ef2db8e8181"
        "811382fc0300f405f6b80b0cf6e31407110becfbe3fef60305e709e90c0a0abd18d5c942ece4fc03"
        "0ed8060310250321f0c10ee30fe7fc2f080606ebffff03e00005020011f10b1303fdf9f4ff0afbe7"
        "020802f70e0206f705fd050205fc0306fafe02fb00020306ffff0006fc00faff0602fe060106faff"
        "05dc20081983afe3833792ff0e1d0312ffea1205f5f932eef5ee0703f2fef7eee90be5060203de08"
        "e1ea10fdf4f5dc05ff0ff6e5e9dcd0ed22f100fbbcf7c8fdf601059a05fbff0ffbf70d00ecfafbeb"
        "02fefcff0506fb0103fdfdfdfc05fcfc0203f9d3030902f5fd0605fefd0b02f91aede7f3bbe706ef"
        "f8f109fce904caee0009e81b0ef9fbf4fa12f100220e1b0ee20e100ff5b405080215f7f8df0b0905"
        "03030a0504080401030409fd11fdfe0501000503fbf9fa0f07f3eef8ef08f6081aed0a05190f1f1f"
        "1c01fefbf50cf9f8f0eefffbfbfbfbfe0e0a0b071a0304ff020800fe00fe031210100e1e0e0f080c"
        "11010203050a"
    ),
    "LUMA": (
        "0ae708c0fdfaedf4f4f8fa080004ff040fea011420dafbf3ec160510f6fa23be19140c03fdfafc02"
        "eff2fafaf2f5f8f7be1c01fb05f3fcf9f8f4f6ed0ff40befd3f2261cdad9dd81f646e810b927fa01"
        "34db23120de4dda2e1b6fc103a0fedf301fe09fce10ef9fbf601e900f7fafcfaff0307fee1b2eae5"
        "1d01f90017ee0c1c05fd050205fc0306fafe02fb00020306ffff0006fc00faff0602fe060106faff"
        "0403ff00ff00fc04fbfffd0303030606fcfbfb030606020605fafb05fb060406edeade07f319211b"
        "dff8f6e5f911e8c9e8f9f9fccbf1df1100ee00e1f905c9db040203fd08f5040406fd00fa0306fef5"
        "020104faf20addfff5fee90306e70741050203fcfafdfafc1201fd03f8fa0508e717f4fcfb1f06fe"
        "00e1fb150005edcb1316faf301e401f121141919d4cbf91406f9fe0003060700fcf4fdeafff103ca"
        "0cfe0602111204020304fafe0afc000502ff03010509fa0508f5f8f8f705eff904060931380b05f7"
        "0d09fa0a09fe0d0c030c03fd"
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
