//! What OpenRaft calls of the crate `base2histogram`, and no more: samples are counted, their values are not kept.
//!
//! OpenRaft counts batches in histograms that are read with its feature `runtime-stats` alone, which is off here. The
//! crate itself builds tables of 26 MB for them in every process, a third of what a witness may take.

use std::fmt;
use std::marker::PhantomData;

/// Counts samples.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Histogram<T = ()> {
    samples: u64,
    slots: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    pub fn new() -> Self {
        Histogram { samples: 0, slots: PhantomData }
    }

    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    pub fn record_n(&mut self, _value: u64, count: u64) {
        self.samples = self.samples.saturating_add(count);
    }

    /// The number of samples; all percentiles are 0.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats { samples: self.samples, ..PercentileStats::default() }
    }
}

/// Percentiles of a histogram.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[samples: {}]", self.samples)
    }
}

/// A chart of histograms, which shows nothing.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart;

impl AsciiChart {
    pub fn new() -> Self {
        AsciiChart
    }

    #[allow(clippy::should_implement_trait)]
    pub fn add(self, _name: impl Into<String>, _histogram: Histogram) -> Self {
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_counted() {
        let mut histogram = Histogram::<()>::new();
        histogram.record(7);
        histogram.record_n(9, 2);
        assert_eq!(histogram.percentile_stats().samples, 3);
    }
}
