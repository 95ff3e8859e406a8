"""Constants of nature and of the telescope, with CalSTIS's digits, and factors between units."""

#: Planck's constant, erg s.
PLANCK = 6.6260755e-27
#: Speed of light, cm/s (km/s: `gpucti.detector.LIGHT_KM_S`).
LIGHT_CM_S = 29979245800.0
#: Area of the telescope, cm**2.
AREA = 45238.93416
CM_PER_ANGSTROM = 1e-8
DAYS_PER_YEAR = 365.25
ARCSEC_PER_DEGREE = 3600.0
