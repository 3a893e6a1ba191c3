//! Seeded noise, the same on every platform and, for uniforms, in make.py.

/// SplitMix64: Steele, Lea and Flood (2014), OOPSLA.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A stream of its own for each seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0xD134_2543_DE82_EF95))
    }

    /// In [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Bell-shaped from four uniforms: arithmetic that Python repeats to the last bit.
    pub(crate) fn noise(&mut self) -> f64 {
        (self.uniform() + self.uniform() + self.uniform() + self.uniform() - 2.0) * 1.75
    }

    /// Standard normal, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.open().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Student's t with four degrees of freedom, scaled to variance 1, by its quantile function
    /// (Shaw 2006, Journal of Computational Finance 9(4)).
    pub(crate) fn heavy(&mut self) -> f64 {
        let p = self.open();
        let root = (4.0 * p * (1.0 - p)).sqrt();
        let size = 2.0 * ((root.acos() / 3.0).cos() / root - 1.0).max(0.0).sqrt();
        size.copysign(p - 0.5) / 2.0_f64.sqrt()
    }

    /// In (0, 1).
    fn open(&mut self) -> f64 {
        self.uniform().clamp(1e-16, 1.0 - 1e-16)
    }
}
