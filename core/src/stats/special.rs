//! The regularised incomplete beta function and the normal distribution, on top of `libm`.

/// Steps of the continued fraction; it needs about the root of the larger parameter.
const STEPS: u32 = 10_000;
/// Stands for a denominator of zero.
const TINY: f64 = 1e-300;

/// `I_x(a, b)`, with `y = 1 - x` handed in so that neither end loses digits. Continued fraction of DLMF 8.17.22,
/// evaluated by the modified method of Lentz (Thompson & Barnett 1986).
pub(super) fn beta_inc(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    let log_front = a * x.ln() + b * y.ln() + libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b);
    // The fraction converges quickly on this side of the mean only; DLMF 8.17.4 gives the other.
    if x * (a + b + 2.0) < a + 1.0 {
        log_front.exp() / a * fraction(a, b, x)
    } else {
        1.0 - log_front.exp() / b * fraction(b, a, y)
    }
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..=STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

/// The standard normal distribution function.
pub(super) fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}
