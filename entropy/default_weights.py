"""Weights of the default context networks: int8 in hexadecimal, made by `benchmarks/contexts.py`.

Of every kind hidden, linear and output weights, then biases by band and channel, for grids of
`SCALES` scales. Part of the bitstream.
"""

SCALES = {"MOTION": 3, "LUMA": 5, "CHROMA": 4}

WEIGHTS = {
    "MOTION": (
        "0dfa07030a0c0506090803f7d700080813f8fe0810100608090d06f601eb0f00e7030ffbd7edb89e"
        "810981f60302f1fafade03070401e402130bf30201f30cfb01fb04e306f7e7bd1307e838e9ebfc17"
        "0c01f9060bf616f2ffaaf9fe0eebfd23fd000ae9ff0e03e9fd0901010dfb0b0703f905fb020002e7"
        "020006f418f80f0305fd050205fc0306fafe02fb00020306ffff0006fc00faff0602fe060106faff"
        "07030f0612fdc4fa81358af90d170421fefb1507f3fa1bd103f3f2fdf8fef8faf7fcdf1611f1e010"
        "e30310fff4f4f510fff1f0e6eae3ecf709e50efadffac8fa0405f7be01f2fb0ffdf707ffe7fbf3f1"
        "02fefcff0506fb0103fdfdfdfc05fcfcfe07fde8070801060401fcfbff0dff030b11f6e5ba0802e7"
        "feee0501ee01cadf120a031d03eefafbebf7c30eea1712fbd6fb03fae8c60efa00010102edfef2f8"
        "0404080403080402030409fd0efe000501030401f8f7f91509f9f3f5eb06f40819e60a041b142627"
        "1a050103fe0df6f5f1f2fbfefeffff030300010011f8faf4f7fd00fefffd0316151312230b0d0409"
        "0f000303050b"
    ),
    "LUMA": (
        "09e908ccfdf7f4f7f700080dff11fd0311e90a101de601f1ee12fc10f8041fe1fb1605fef9f9fd06"
        "f0f6fbf7f1f4fe02d31f01f60bf2fcfffaf304f810f60efed6f21f2adacfddacf041001dd924fa01"
        "2cda230d0dd9deb4f9c5ff0d2317edf302fe05f9e808faf4f702f3fcfcf6f7fd050206fde3b9f1e4"
        "1c00fdfe17ec0d1705fd050205fc0306fafe02fb00020306ffff0006fc00faff0602fe060106faff"
        "0403ff00ff00fc04fbfffd0303030606fcfbfb030606020605fafb05fb060406fcf2e105fa1b1f1a"
        "e2f0fae7f301edf2eb00f8fecbf7ee11fee0ffebf903cad40803050003f8030a09fd02070506fdf4"
        "0cfafffefc11e2f9f9fbfdfcfed8004b08ff03000104fdfe0efefa02fbfb0509e70df4fff012f9fa"
        "01f6fbfffb0aeccb020bf2ed09e601fa170c0c03d6e0fafceefffdfffbfbf600ff08fefafffefeca"
        "0a0005030e1404040304fafe08fc000702fe02010709f90508f5f7faf707f6fa05060823330f01f9"
        "1201fc0e03fe0f06030b02fc"
    ),
    "CHROMA": (
        "f6f7260c08faf500fb0f08040109fe0311f3e90704f117dff60ff8fadbfd1df6081103f605fbfc0a"
        "fef603fff4faf0fb0d1bf9f805ee06f5daf6fb01fa02f4fcc600f31316e6efe1c0ff170902ee27fc"
        "23ea010516e3eddfc0f4fa09f0f610000108fa050af101f3f50209fef801e90308f30dfa07e8fdcf"
        "f2fffe011b00e701110301f709f7f30100022be6f60b0af907fdfe01040ae1ff0709e212e9f9fb15"
        "ea08f40f22edc80becffd6eff32d0d05f300f7f806020313edfa0402fbf8e8faf1fa0203e4150f19"
        "12ec0cfef5fb02f1ebfe010ef3fc02f00dd601f5000401d2030cfa02010b0fff0705fcedfd1509fe"
        "12f905cc04060f0df3f80314fcf7f81e03fe0cff0105010200fffafc0f00fcfee3060aeafc0cf805"
        "ede407e2fefcfbe1fe0cfa02f0f600f4f90706fe14efdffdf6f5fef9fff4fd01000602e4fefcfed9"
        "030204050c0e020604011efd04fc000502fcfe0108080605f8f7f7f9fa08080ff109061b0b060302"
        "fffefefd0b0b0504040309080707070400010100f7f5"
    ),
}
