"""Radial velocity of the Earth towards a target (keyword V_HELIO).

Low-precision formulas for the Sun of the Astronomical Almanac (page C24), differentiated; precession of IAU 1976
(Lieske et al. 1977, A&A 58, 1). Constants and order of operations are those of CalSTIS 3.5.0, `RadialVel`.
"""

from __future__ import annotations

from math import cos, floor, pi, radians, sin

KM_PER_AU, SECONDS_PER_DAY = 1.4959787e8, 86400.0
J2000 = 51544.5
_ARCSEC = pi / (180.0 * 3600.0)

Vector = tuple[float, float, float]


def heliocentric_velocity(ra: float, dec: float, mjd: float) -> float:
    """Return the velocity with which target and Earth part, km/s, from the Earth's motion round the Sun alone.

    Parameters
    ----------
    ra, dec : float
        Of the target, J2000, degrees.
    mjd : float
        Middle of the exposure, Modified Julian Date.
    """
    ra, dec = radians(ra), radians(dec)
    target = _precess((cos(dec) * cos(ra), cos(dec) * sin(ra), sin(dec)), mjd)
    return -_product(_earth_velocity(mjd), target)


def _product(one: Vector, two: Vector) -> float:
    """Return the scalar product."""
    return one[0] * two[0] + one[1] * two[1] + one[2] * two[2]


def _precess(target: Vector, mjd: float) -> Vector:
    """Return a unit vector of J2000 in the equator and equinox of date."""
    t = (mjd - J2000) / 36525.0
    zeta = (2306.2181 * t + 0.30188 * t * t + 0.017998 * t * t * t) * _ARCSEC
    z = (2306.2181 * t + 1.09468 * t * t + 0.018203 * t * t * t) * _ARCSEC
    theta = (2004.3109 * t - 0.42665 * t * t - 0.041833 * t * t * t) * _ARCSEC
    return (
        _product(
            (
                cos(z) * cos(theta) * cos(zeta) - sin(z) * sin(zeta),
                -cos(z) * cos(theta) * sin(zeta) - sin(z) * cos(zeta),
                -cos(z) * sin(theta),
            ),
            target,
        ),
        _product(
            (
                sin(z) * cos(theta) * cos(zeta) + cos(z) * sin(zeta),
                -sin(z) * cos(theta) * sin(zeta) + cos(z) * cos(zeta),
                -sin(z) * sin(theta),
            ),
            target,
        ),
        _product((sin(theta) * cos(zeta), -sin(theta) * sin(zeta), cos(theta)), target),
    )


def _earth_velocity(mjd: float) -> Vector:
    """Return the Earth's velocity, km/s, equatorial coordinates of date."""
    t = mjd - J2000
    g_rate, l_rate = radians(0.9856003), radians(0.9856474)  # per day
    eps = radians(23.439 - 4e-7 * t)
    g = _one_turn(radians(357.528 + 0.9856003 * t))
    mean_longitude = _one_turn(radians(280.461 + 0.9856474 * t))

    longitude = mean_longitude + 0.033423 * sin(g) + 0.000349 * sin(2 * g)
    longitude_rate = l_rate + 0.033423 * cos(g) * g_rate + 0.000349 * cos(2 * g) * 2 * g_rate
    distance = 1.00014 - 0.01671 * cos(g) - 0.00014 * cos(2 * g)
    distance_rate = 0.01671 * sin(g) * g_rate + 0.00014 * sin(2 * g) * 2 * g_rate

    sun = (
        distance_rate * cos(longitude) - distance * sin(longitude) * longitude_rate,
        distance_rate * cos(eps) * sin(longitude) + distance * cos(eps) * cos(longitude) * longitude_rate,
        distance_rate * sin(eps) * sin(longitude) + distance * sin(eps) * cos(longitude) * longitude_rate,
    )
    x, y, z = (-rate * KM_PER_AU / SECONDS_PER_DAY for rate in sun)
    return x, y, z


def _one_turn(angle: float) -> float:
    return angle - floor(angle / (2 * pi)) * 2 * pi
