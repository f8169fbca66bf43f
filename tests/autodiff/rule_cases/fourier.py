"""Fourier transforms."""

from jax import lax

from .case import case, complex_normal, normal


def _fft(kind, *lengths):
    return lambda x: lax.fft(x, kind, lengths)


for _kind in ("FFT", "IFFT"):
    case(
        "fft",
        **{
            f"{_kind}_even": (_fft(_kind, 4), complex_normal(2, 4)),
            f"{_kind}_odd": (_fft(_kind, 3), complex_normal(3)),
            f"{_kind}_two": (_fft(_kind, 2, 3), complex_normal(2, 2, 3)),
            f"{_kind}_three": (_fft(_kind, 2, 3, 2), complex_normal(2, 3, 2)),
            f"{_kind}_of_one": (_fft(_kind, 1), complex_normal(2, 1)),
            f"{_kind}_of_nothing": (_fft(_kind, 3), complex_normal(0, 3)),
        },
    )
# between n real values and n // 2 + 1 frequencies
for _n in (1, 2, 3, 4, 7):
    case(
        "fft",
        **{
            f"RFFT_of_{_n}": (_fft("RFFT", _n), normal(2, _n)),
            f"IRFFT_of_{_n}": (_fft("IRFFT", _n), complex_normal(2, _n // 2 + 1)),
            f"RFFT_of_3_and_{_n}": (_fft("RFFT", 3, _n), normal(2, 3, _n)),
            f"IRFFT_of_3_and_{_n}": (_fft("IRFFT", 3, _n), complex_normal(3, _n // 2 + 1)),
        },
    )
case(
    "fft",
    RFFT_three=(_fft("RFFT", 2, 3, 4), normal(2, 3, 4)),
    IRFFT_three=(_fft("IRFFT", 2, 3, 5), complex_normal(2, 3, 3)),
    RFFT_of_nothing=(_fft("RFFT", 4), normal(0, 4)),
    IRFFT_of_nothing=(_fft("IRFFT", 4), complex_normal(0, 3)),
)
