//! Medians and percentiles of measured samples.

use std::time::Duration;

/// Measured samples, sorted.
#[derive(Debug, Clone)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Takes samples of any one unit.
    ///
    /// # Panics
    /// When there are none.
    pub fn new(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// Takes times, in microseconds.
    pub fn micros(times: impl IntoIterator<Item = Duration>) -> Self {
        Self::new(times.into_iter().map(|time| time.as_secs_f64() * 1e6).collect())
    }

    /// Takes times, in milliseconds.
    pub fn millis(times: impl IntoIterator<Item = Duration>) -> Self {
        Self::new(times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// All samples of several measurements in one unit.
    pub fn merge(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::new(parts.into_iter().flat_map(|part| part.0).collect())
    }

    /// The value below which `part` (0 to 1) of the samples lie.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    pub fn percentile(&self, part: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[((last as f64 * part).round() as usize).min(last)]
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        self.percentile(0.5)
    }

    /// The greatest.
    pub fn most(&self) -> f64 {
        self.percentile(1.0)
    }

    /// The arithmetic mean.
    #[allow(clippy::cast_precision_loss, reason = "a count")]
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}
