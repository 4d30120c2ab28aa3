//! Number literals and their units.

use crate::syntax::mistake::Mistake;
use crate::syntax::tree::Number;

/// Every unit, with what it multiplies by.
pub(crate) const UNITS: &[(&str, f64)] = &[
    ("%", 0.01),
    ("k", 1e3),
    ("M", 1e6),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("s", 1.0),
    ("min", 60.0),
    ("h", 3600.0),
];

/// Reads `10%`, `2k`, `1e-5`, `8GiB`.
///
/// # Errors
/// [`Mistake::UnknownUnit`] and [`Mistake::BadNumber`].
pub(in crate::syntax) fn read(text: &str) -> Result<Number, Mistake> {
    let (digits, unit) = text.split_at(digits_end(text));
    let bad = || Mistake::BadNumber { text: text.to_owned() };
    let digits = digits.replace('_', "");
    let value = match unit {
        "" => digits.parse::<f64>(),
        // Shifting the decimal exponent rounds once; multiplying would round twice.
        "%" => shifted(&digits, -2),
        "k" => shifted(&digits, 3),
        "M" => shifted(&digits, 6),
        _ => {
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| no_unit(text, unit))?;
            digits.parse::<f64>().map(|value| value * factor)
        }
    };
    match value {
        Ok(value) if value.is_finite() => Ok(Number { value, whole: unit != "%" && !digits.contains(['.', 'e', 'E']) }),
        _ => Err(bad()),
    }
}

fn shifted(digits: &str, by: i32) -> Result<f64, std::num::ParseFloatError> {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or(i32::MAX / 2);
    format!("{mantissa}e{}", exponent + by).parse()
}

/// `0x1f` and `1e` are no units but numbers gone wrong.
fn no_unit(text: &str, unit: &str) -> Mistake {
    let other_base = text.starts_with('0') && unit.starts_with(['x', 'b', 'o']);
    if other_base || unit.starts_with(['e', 'E', '_']) && unit[1..].bytes().all(|b| b.is_ascii_digit()) {
        Mistake::BadNumber { text: text.to_owned() }
    } else {
        Mistake::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() }
    }
}

/// Where the unit begins: after the digits, the fraction and a whole exponent.
fn digits_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(|b| b.is_ascii_digit() || *b == b'_') {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign && bytes[end + 1 + sign] != b'_' {
            end = exponent;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> (f64, bool) {
        let number = read(text).expect("a number");
        (number.value, number.whole)
    }

    #[test]
    fn units_are_applied() {
        assert_eq!(number("10%"), (0.1, false));
        assert_eq!(number("7%"), (0.07, false));
        assert_eq!(number("2k"), (2000.0, true));
        assert_eq!(number("1.1k"), (1100.0, false));
        assert_eq!(number("1M"), (1e6, true));
        assert_eq!(number("8GiB"), (8_589_934_592.0, true));
        assert_eq!(number("5min"), (300.0, true));
        assert_eq!(number("1e-5"), (1e-5, false));
        assert_eq!(number("1_000"), (1000.0, true));
        assert_eq!(number("2.5h"), (9000.0, false));
    }

    #[test]
    fn what_is_no_number_is_named() {
        assert!(matches!(read("8GB"), Err(Mistake::UnknownUnit { unit, .. }) if unit == "GB"));
        assert!(matches!(read("5ms"), Err(Mistake::UnknownUnit { unit, .. }) if unit == "ms"));
        for bad in ["1e", "0x10", "1e999", "1e99999999999"] {
            assert!(matches!(read(bad), Err(Mistake::BadNumber { .. })), "{bad}");
        }
    }
}
