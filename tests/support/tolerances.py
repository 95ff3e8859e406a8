"""Every tolerance of the numerical tests, once, with its reason."""

#: Two implementations that add the same charges in another order, electrons. Sums reach some 1e5 electrons, so one
#: rounding is 1.5e-11; 28 passes with some hundred additions each leave less than 1e-8 (measured: 1e-11). The demand
#: of the project is 1e-6.
ELECTRONS = 1e-6
#: The trap scale after repairs, relative to the table's: ratios of charges that agree as above.
SCALE = 1e-12
#: The split into signal and noise only adds and clips: a few roundings of the largest charge.
NOISE_ROUNDINGS = 16
#: A column in which the iteration is repaired ten times on bright, trap-rich rows multiplies roundings up to 1e9
#: times (docs/algorithm.md, benchmarks/precision.py). Of 1024 such columns 5 were found beyond `ELECTRONS`, the worst
#: by 1.3e-5, scales by 4e-13. Columns beyond `ELECTRONS` are counted, not excused: more than this share of
#: them (one or two in a small frame), or more than this, is a defect.
RUNAWAY_SHARE = 0.042
RUNAWAY_ELECTRONS = 1e-4
RUNAWAY_SCALE = 1e-11
#: A signal of exactly 0 behind a trail, in a column that is repaired: the iteration lands on level 0 to the last digit,
#: and the last digit decides whether that level gives up what it holds, some tenths of an electron (docs/algorithm.md,
#: "Charge on a level"). Measured against stis_cti at a trap density of 1.34: 0.83 e- at most.
ON_A_LEVEL_ELECTRONS = 1.0
