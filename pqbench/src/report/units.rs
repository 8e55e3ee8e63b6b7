//! Numbers as people read them.

/// Thousands apart: `12,345`.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value <= -0.5 { format!("-{out}") } else { out }
}

/// A round count, as [`parse_count`] reads it: `500`, `64k`, `1m`.
pub fn short_count(count: f64) -> String {
    match count {
        c if c >= 1e6 => format!("{}m", c / 1e6),
        c if c >= 1e3 => format!("{}k", c / 1e3),
        c => c.to_string(),
    }
}

/// Three significant digits: `0.0123`, `1.23`, `123`, `12,345`.
pub fn significant(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => grouped(value),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.9995 || v == 0.0 => format!("{value:.2}"),
        v if v >= 0.09995 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// A share as `52.3%`.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent.abs() >= 99.95 { format!("{percent:.0}%") } else { format!("{percent:.1}%") }
}

/// A time: `850 ns`, `12.3 µs`, `4.56 ms`, `1.20 s`, `2 min 5 s`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 99.95 => format!("{} min {:.0} s", (s.round() / 60.0).floor(), s.round() % 60.0),
        s if s >= 0.9995 => format!("{} s", significant(s)),
        s if s >= 0.9995e-3 => format!("{} ms", significant(1e3 * s)),
        s if s >= 0.9995e-6 => format!("{} µs", significant(1e6 * s)),
        s => format!("{:.0} ns", 1e9 * s),
    }
}

/// Memory in powers of 1000: `3.20 MB`.
pub fn bytes(count: f64) -> String {
    match count {
        b if b >= 0.9995e9 => format!("{} GB", significant(b / 1e9)),
        b if b >= 0.9995e6 => format!("{} MB", significant(b / 1e6)),
        b if b >= 0.9995e3 => format!("{} kB", significant(b / 1e3)),
        b => format!("{b:.0} B"),
    }
}

/// A count above 0 that somebody typed: `200000`, `200_000`, `64k`, `1m`, with powers of 1000.
///
/// # Errors
/// It is not such a count.
pub fn parse_count(text: &str) -> Result<usize, String> {
    let plain = text.replace('_', "").to_ascii_lowercase();
    let (digits, factor) = match plain.strip_suffix(['k', 'm']) {
        Some(digits) => (digits, if plain.ends_with('k') { 1_000 } else { 1_000_000 }),
        None => (plain.as_str(), 1),
    };
    digits
        .parse::<usize>()
        .ok()
        .and_then(|count| count.checked_mul(factor))
        .filter(|&count| count > 0)
        .ok_or_else(|| "a count is above 0, digits with an optional k or m: 200000, 64k, 1m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_round_at_the_border() {
        assert_eq!(
            [0.0, 999.4, 999.6, 1234567.0, -1234.0].map(grouped),
            ["0", "999", "1,000", "1,234,567", "-1,234"].map(String::from)
        );
        assert_eq!(
            [0.01234, 0.1234, 1.234, 9.996, 12.34, 99.96, 1234.5].map(significant),
            ["0.0123", "0.123", "1.23", "10.0", "12.3", "100", "1,234"].map(String::from)
        );
        assert_eq!(
            [8.5e-7, 1.23e-5, 0.00456, 1.2, 125.0].map(duration),
            ["850 ns", "12.3 µs", "4.56 ms", "1.20 s", "2 min 5 s"].map(String::from)
        );
        assert_eq!([999.0, 3.2e6].map(bytes), ["999 B", "3.20 MB"].map(String::from));
        assert_eq!([0.523, 1.0, 0.0].map(percent), ["52.3%", "100%", "0.0%"].map(String::from));
    }

    #[test]
    fn counts_are_read_with_suffixes() {
        assert_eq!(
            ["7", "64k", "1M", "200_000"].map(|text| parse_count(text).unwrap()),
            [7, 64_000, 1_000_000, 200_000]
        );
        for bad in ["", "0", "0k", "k", "1.5k", "-1", "1g", "99999999999999999999", "9999999999999999m"] {
            assert!(parse_count(bad).is_err(), "{bad}");
        }
    }
}
