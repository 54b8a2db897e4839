"""The two colormaps of the heat and the two colours of the curves.

Equal steps of evidence look equally big: both tables were computed in CIELAB (D65, chroma reduced to what sRGB can show). The
sequential one runs from violet over red to pale yellow at equal distances and only ever gets lighter. The diverging one runs from
blue (against) over a neutral grey, which is drawn fully transparent, to orange (for); both sides are equally light.
"""

from __future__ import annotations

import numpy as np

from vidcam.values import FloatArray, UInt8Array

__all__ = ["AGAINST", "FOR", "apply_colormap", "table"]

FOR: tuple[int, int, int] = (255, 167, 77)
"""The RGB colour of evidence for a class in curves and bars: the warm end, lightened for a dark ground."""
AGAINST: tuple[int, int, int] = (108, 164, 255)
"""The RGB colour of evidence against a class."""


def apply_colormap(values: FloatArray | float, *, signed: bool = False) -> UInt8Array:
    """Return the RGB colours ``(..., 3) uint8`` of evidence ``values (...)`` in [0, 1], or [-1, 1] if ``signed``; clip others."""
    v = np.asarray(values, dtype=np.float64)
    index = np.rint(128 + 127 * np.clip(v, -1, 1)) if signed else np.rint(255 * np.clip(v, 0, 1))
    return table(signed)[index.astype(np.intp)]


def table(signed: bool) -> UInt8Array:
    """Return the ``(256, 3) uint8`` RGB table; if ``signed``, 128 is neutral, 1 is fully against and 255 fully for."""
    return _DIVERGING if signed else _SEQUENTIAL


def _parse(colours: str) -> UInt8Array:
    return np.frombuffer(bytes.fromhex(colours), np.uint8).reshape(256, 3)


_SEQUENTIAL = _parse("""
    4b2c89 4e2c8a 502c8a 522c8a 552c8b 572c8b 592c8b 5b2c8b 5d2c8c 602d8c 622d8c 642d8c 662d8c 682d8d 6a2d8d 6c2d8d
    6e2d8d 702d8d 722d8d 742e8e 762e8e 782e8e 7a2e8e 7c2e8e 7e2e8e 7f2e8e 812e8e 832f8e 852f8f 872f8f 892f8f 8a2f8f
    8c2f8f 8e308f 90308f 92308f 93308f 95308f 97318f 99318f 9a318f 9c318f 9e318e 9f318e a0308e a2308d a3308d a5308d
    a6308c a82f8c a92f8c ab2f8b ac2f8b ad2f8a af2e8a b02e8a b12e89 b32e89 b42e88 b52e88 b72d88 b82d87 b92d87 ba2d86
    bc2d86 bd2d85 be2d85 bf2d84 c12d84 c22c83 c32c83 c42c82 c52c82 c72c81 c82c81 c92c80 ca2c7f cb2c7f cc2d7e cd2d7e
    ce2d7d cf2d7d d02d7c d12d7b d22d7b d32e7a d52e7a d62e79 d62e78 d72e78 d82f77 d92f77 da2f76 db3075 dc3075 dd3074
    de3174 df3173 e03172 e13272 e13271 e23370 e33370 e4346f e5346e e5356e e6366d e7376c e7386c e8386b e9396b e93a6a
    ea3b69 eb3c69 eb3d68 ec3e68 ec3f67 ed4066 ed4066 ee4165 ef4264 ef4364 f04463 f04563 f14662 f14761 f24861 f24960
    f24a60 f34b5f f34c5e f44d5e f44e5d f54f5c f5505c f5515b f6525b f6535a f75459 f75559 f75658 f85758 f85857 f85956
    f95a56 f95b55 f95c55 fa5d54 fa5e54 fa5f53 fa6052 fb6152 fb6251 fb6351 fb6450 fc6550 fc664f fc674e fc684e fc694d
    fc6a4d fd6b4c fd6c4c fd6d4b fd6e4b fd6f4a fe704a fe7149 fe7249 ff7348 ff7548 ff7648 ff7748 ff7949 ff7a49 ff7b49
    ff7d49 ff7e49 ff7f49 ff8049 ff824a ff834a ff844a ff864a ff874a ff884b ff894b ff8b4b ff8c4b ff8d4c ff8e4c ff904c
    ff914d ff924d ff944d ff954d ff964e ff974e ff994f ff9a4f ff9b4f ff9c50 ff9e50 ff9f50 ffa051 ffa151 ffa352 ffa452
    ffa553 ffa653 ffa854 ffa954 ffaa55 ffab55 ffad56 ffae56 ffaf57 ffb157 ffb258 ffb359 ffb459 ffb65a ffb75b ffb85b
    ffb95c ffbb5d ffbc5d ffbd5e ffbf5f ffc060 ffc160 ffc361 ffc462 ffc563 ffc664 ffc864 ffc965 ffca66 ffcc67 ffcd67
    ffce68 ffd069 ffd16a ffd26a ffd36b ffd56c ffd66c ffd76d ffd96d ffda6e ffdb6e ffdc6f ffde6f ffdf6f ffe06f ffe16f
""")
_DIVERGING = _parse("""
    5caef7 5caef7 5cadf6 5cadf5 5cacf4 5cacf3 5cabf2 5caaf1 5caaf0 5ca9ef 5ca9ee 5ca8ee 5ca7ed 5ca7ec 5ca6eb 5ca6ea
    5ca5e9 5ca4e8 5ca4e7 5ca3e6 5ca3e5 5ca2e4 5ca2e3 5ca1e2 5ca0e1 5ca0e0 5c9fdf 5c9fde 5c9edd 5b9ddc 5b9ddb 5b9cda
    5b9cd9 5b9bd8 5b9ad7 5b9ad6 5b99d5 5b99d4 5b98d3 5b97d2 5b97d1 5b96d0 5b96cf 5a95ce 5a95cd 5a94cc 5a93cb 5a93ca
    5a92c9 5a92c9 5a91c8 5a90c7 5a90c6 5a8fc5 598fc4 598ec3 598ec2 598dc1 598cc0 598cbf 598bbe 598bbd 598abc 598abb
    5889ba 5888b9 5888b8 5887b7 5887b6 5886b6 5885b5 5885b4 5784b3 5784b2 5783b1 5783b0 5782af 5781ae 5781ad 5780ac
    5680ab 567faa 567fa9 567ea8 567da8 567da7 567ca6 557ca5 557ba4 557ba3 557aa2 557aa1 5579a0 55789f 54789e 54779d
    54779c 54769c 54769b 54759a 537499 537498 537397 537396 537295 537294 527193 527192 527092 526f91 526f90 526e8f
    516e8e 516d8d 516d8c 516c8b 516c8a 516b89 506b89 506a88 506987 506986 506885 4f6884 4f6783 4f6782 4f6681 4f6681
    636363 88593a 89593a 8a5a3a 8a5a3a 8b5a3a 8c5b3a 8d5b3a 8e5b3a 8f5c3a 905c3a 915d3a 925d3a 935d3a 945e3a 955e3a
    955e3a 965f3a 975f3a 98603a 99603a 9a603a 9b613a 9c613a 9d613a 9e623a 9f623a a0633a a1633a a1633a a2643a a3643a
    a4653a a5653a a6653a a7663a a8663a a9663a aa673a ab673a ac683a ad6839 ae6839 ae6939 af6939 b06939 b16a39 b26a39
    b36b39 b46b39 b56b39 b66c39 b76c39 b86c39 b96d39 ba6d39 bb6e39 bc6e39 bd6e39 bd6f39 be6f39 bf7039 c07038 c17038
    c27138 c37138 c47138 c57238 c67238 c77338 c87338 c97338 ca7438 cb7438 cc7438 cd7538 ce7538 cf7638 d07637 d07637
    d17737 d27737 d37837 d47837 d57837 d67937 d77937 d87937 d97a37 da7a37 db7b37 dc7b36 dd7b36 de7c36 df7c36 e07d36
    e17d36 e27d36 e37e36 e47e36 e57e36 e67f36 e77f35 e88035 e88035 e98035 ea8135 eb8135 ec8235 ed8235 ee8235 ef8335
    f08334 f18334 f28434 f38434 f48534 f58534 f68534 f78634 f88634 f98733 fa8733 fb8733 fc8833 fd8833 fe8933 ff8933
""")
